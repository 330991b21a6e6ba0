"""What takes longer than its time: async code at once, sync code at its next call."""

import asyncio
import time

import pytest
from recorded import of_type

from perfect_schemas import events as e
from perfect_sdk import flow, task
from perfect_sdk.exceptions import (
    FlowTimeoutError,
    TaskTimeoutError,
)
from perfect_sdk.testing import run_flow, run_flow_async


async def test_an_async_task_is_cancelled_when_its_time_is_up():
    @task(timeout_seconds=0.02)
    async def slow() -> None:
        await asyncio.Event().wait()

    @flow
    async def main() -> str:
        try:
            await slow()
        except TimeoutError as error:
            return str(error)
        return "no"

    result = await run_flow_async(main)
    assert result.result == "task 'slow-0' took longer than its 0.02 s"
    assert of_type(result, e.TaskFailed)[0].error.kind == "perfect_sdk.exceptions:TaskTimeoutError"


def test_a_sync_task_fails_at_its_next_sdk_call_or_its_end():
    @task
    def inner() -> None: ...

    @task(timeout_seconds=0.005)
    def slow(calls: bool) -> None:
        time.sleep(0.01)  # the body under test is slow
        if calls:
            inner()
            pytest.fail("not reached")

    @flow
    def main(calls: bool) -> None:
        slow(calls)

    for calls in (True, False):
        result = run_flow(main, {"calls": calls})
        assert isinstance(result.error, TaskTimeoutError)
        assert not any(task.name == "inner" for task in result.tasks)


async def test_flow_timeouts():
    @flow(timeout_seconds=0.01)
    async def slow() -> None:
        await asyncio.Event().wait()

    result = await run_flow_async(slow)
    assert isinstance(result.error, FlowTimeoutError)

    @flow(timeout_seconds=0.005)
    def slow_sync() -> None:
        time.sleep(0.01)  # the body under test is slow

    assert isinstance(run_flow(slow_sync).error, FlowTimeoutError)
