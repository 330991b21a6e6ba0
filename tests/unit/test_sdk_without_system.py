"""Deployments and limits where no system runs: what is refused, and what is warned of once."""

from datetime import datetime

import pytest
from waited import step

from perfect_sdk import (
    flow,
    resume_flow_run,
    run_deployment,
)
from perfect_sdk.concurrency.asyncio import concurrency as concurrency_async
from perfect_sdk.concurrency.asyncio import rate_limit as rate_limit_async
from perfect_sdk.concurrency.slots import _warned
from perfect_sdk.concurrency.sync import concurrency, rate_limit
from perfect_sdk.exceptions import (
    ConcurrencySlotAcquisitionError,
    InvalidInput,
    NotSupported,
)
from perfect_sdk.testing import run_flow


@pytest.fixture(autouse=True)
def _fresh() -> None:
    _warned.clear()


def test_deployments_need_a_system(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    @flow
    def f() -> None:
        run_deployment("other")

    assert "running system" in str(run_flow(f).error)
    with pytest.raises(NotSupported, match="work_queue_name"):
        run_deployment("other", work_queue_name="q")
    with pytest.raises(Exception, match="perfect up"):
        run_deployment("other")
    with pytest.raises(Exception, match="perfect up"):
        resume_flow_run("00000000-0000-7000-8000-000000000000")


def test_limits_without_a_system_limit_nothing_and_say_so_once():
    @flow
    def f() -> str:
        with concurrency("database"), concurrency(["a", "b"], occupy=2):
            return step("in")

    with pytest.warns(UserWarning, match="limits nothing without a running system") as warned:
        assert run_flow(f).result == "in"
    assert len(warned) == 1
    with pytest.warns(UserWarning, match="inside no run"), concurrency("x"):
        pass


async def test_limits_for_async_code():
    with pytest.warns(UserWarning, match="inside no run"):
        async with concurrency_async("x"):
            pass
    with pytest.warns(UserWarning, match="rate_limit.* limits nothing inside no run"):
        await rate_limit_async("x")


def test_what_limits_refuse():
    with pytest.raises(InvalidInput):
        rate_limit("x", occupy=0)
    for wrong in ({"occupy": 0}, {"occupy": True}):
        with pytest.raises(InvalidInput), concurrency("x", **wrong):
            pass
    with pytest.raises(ConcurrencySlotAcquisitionError), concurrency("x", strict=True):
        pass
    with pytest.raises(ConcurrencySlotAcquisitionError):
        rate_limit("x", strict=True)
    with pytest.raises(InvalidInput), concurrency("x", max_retries=-1):
        pass
    with pytest.raises(InvalidInput), concurrency([""]):
        pass


def test_a_deployment_at_a_time_without_a_zone_is_refused():
    with pytest.raises(InvalidInput, match="needs a time zone"):
        run_deployment("etl", scheduled_time=datetime(2999, 1, 1))
