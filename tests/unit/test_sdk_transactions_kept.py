"""Transactions whose record outlives them: keys, the cache, resumed, waiting and cancelled runs."""

import pytest
from staged import step

from perfect_schemas import events as e
from perfect_sdk import flow
from perfect_sdk.cache_policies import INPUTS
from perfect_sdk.caching import cache_entry
from perfect_sdk.testing import resume, run_flow
from perfect_sdk.transactions import (
    transaction,
)


@pytest.fixture(autouse=True)
def _empty_cache():
    cache_entry.of_process.clear()


@pytest.fixture
def said() -> list[str]:
    return []


def test_the_cache_gets_a_result_with_the_commit_and_what_is_cached_is_not_undone(said):
    one = step("one", said, cache_policy=INPUTS)

    @flow
    def main(fails: bool) -> None:
        with transaction():
            one()
            if fails:
                raise KeyError("x")

    one_input = one.with_options(cache_policy=None, cache_key_fn=lambda context, parameters: "key")

    @flow
    def keyed(fails: bool) -> None:
        with transaction():
            one_input()
            if fails:
                raise KeyError("x")

    for fails in (True, False, True):
        run_flow(keyed, {"fails": fails})
    assert said == ["one", "one-", "one", "one+"]


def test_a_key_is_committed_once(said):
    @flow
    def main(value: int) -> int:
        with transaction(key="invoice") as txn:
            if not txn.is_committed():
                said.append("work")
                txn.stage({"value": value})
        return txn.read().result["value"]

    first = run_flow(main, {"value": 1})
    assert first.result == 1
    second = run_flow(main, {"value": 2})
    assert second.result == 1
    assert said == ["work"]
    assert resume(main, first.events[:-1]).result == 1
    assert said == ["work", "work"]


def test_a_key_outside_of_flows():
    for n in range(2):
        with transaction(key="here") as txn:
            assert txn.is_committed() is (n == 1)
            txn.stage(n)
        assert txn.read().result == 0


def test_hooks_that_ran_are_not_run_again(said):
    one, two, bad = step("one", said), step("two", said), step("bad", said, fails=True)

    @flow
    def main() -> None:
        with transaction():
            one()
            two()
            bad()

    first = run_flow(main)
    keys = [event.task_key for event in first.events if isinstance(event, e.TaskCompleted)]
    assert keys == ["one-0", "two-0", "two-0/rollback~0/undo-0", "one-0/rollback~0/undo-0"]
    assert said == ["one", "two", "bad", "two-", "one-"]
    for end in range(2, len(first.events)):
        before = first.events[:end]
        done = [event.task_key for event in before if isinstance(event, e.TaskCompleted)]
        failed = any(isinstance(event, e.TaskFailed) for event in before)
        said.clear()
        again = resume(main, before)
        assert again.state == "FAILED"
        left = [name for name, key in zip(["one", "two"], keys, strict=False) if key not in done]
        left += [] if failed else ["bad"]
        left += [name for name, key in zip(["two-", "one-"], keys[2:], strict=True) if key not in done]
        assert said == left, end


def test_commit_hooks_that_are_still_to_run_are_run_by_the_resumed_run(said):
    one, two = step("one", said), step("two", said)

    @flow
    def main() -> str:
        with transaction():
            one()
            two()
        return "done"

    first = run_flow(main)
    ran = {
        "one-0": "one",
        "two-0": "two",
        "one-0/commit~0/confirm-0": "one+",
        "two-0/commit~0/confirm-0": "two+",
    }
    for end in range(2, len(first.events)):
        before = first.events[:end]
        done = {event.task_key for event in before if isinstance(event, e.TaskCompleted)}
        said.clear()
        assert resume(main, before).result == "done"
        assert said == [name for key, name in ran.items() if key not in done], end


def test_what_waits_is_not_undone(said):
    from perfect_sdk import sleep

    one = step("one", said)

    @flow
    def main() -> None:
        with transaction():
            one()
            sleep(3600)

    first = run_flow(main)
    assert first.state == "PAUSED"
    assert said == ["one"]
    again = resume(main, first.events)
    assert again.state == "COMPLETED"
    assert said == ["one", "one+"]


def test_a_cancelled_run_is_undone_unrecorded(said):
    from perfect_sdk.context import require

    one = step("one", said)

    @flow
    def main() -> None:
        with transaction():
            one()
            require("this test").session.cancel("somebody")
            one()

    result = run_flow(main)
    assert result.state == "CANCELLED"
    assert said == ["one", "one-"]
    assert [life.key for life in result.tasks] == ["one-0"]
