"""What is tried again, when, and what is not: tasks, flows and child runs."""

import time

import pytest
from recorded import of_type

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_sdk import exponential_backoff, flow, task
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.running.local import opening
from perfect_sdk.running.session import RunContext, RunSession
from perfect_sdk.testing import resume, run_flow, run_flow_async


def flaky(times: int, error: type[Exception] = ValueError):
    left = [times]

    def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise error(f"{left[0]} left")
        return "done"

    return attempt


@pytest.mark.parametrize("delay", [0, [0.0, 0.001], lambda n: [0.001] * n, None])
def test_a_task_is_tried_again(delay):
    attempt = flaky(2)

    @task(retries=3, retry_delay_seconds=delay)
    def once() -> str:
        return attempt()

    @flow
    def main() -> str:
        return once()

    result = run_flow(main)
    assert result.result == "done"
    assert [event.attempt for event in of_type(result, e.TaskStarted)] == [1, 2, 3]
    retrying = of_type(result, e.TaskRetrying)
    assert [event.attempt for event in retrying] == [1, 2]
    assert retrying[0].error.message == "1 left"
    assert of_type(result, e.TaskCompleted)[0].attempt == 3


async def test_an_async_task_is_tried_again():
    attempt = flaky(1)

    @task(retries=1)
    async def once() -> str:
        return attempt()

    @flow
    async def main() -> str:
        return await once()

    assert (await run_flow_async(main)).result == "done"


def test_what_the_condition_does_not_want_is_not_tried_again():
    seen = []

    def condition(task, task_run, state):
        seen.append((task.name, task_run.run_count, state.is_failed()))
        return isinstance(state.result(raise_on_failure=False), KeyError)

    @task(retries=5, retry_condition_fn=condition)
    def picky() -> None:
        raise ValueError("no")

    @flow
    def main() -> None:
        picky()

    result = run_flow(main)
    assert result.state == "FAILED"
    assert seen == [("picky", 1, True)]
    assert not of_type(result, e.TaskRetrying)


def test_backoff_and_jitter():
    assert exponential_backoff(10)(3) == [10, 20, 40]

    @task(retries=2, retry_delay_seconds=[1, 10], retry_jitter_factor=0.5)
    def jittered() -> None: ...

    assert 1 <= jittered.policy.delay_before(1) <= 1.5
    assert 10 <= jittered.policy.delay_before(2) <= 15
    assert 10 <= jittered.policy.delay_before(7) <= 15


def test_a_resume_keeps_attempt_and_time_of_the_next_one():
    ran = []

    @task(retries=2, retry_delay_seconds=0.15)
    def once() -> str:
        ran.append(time.monotonic())
        if len(ran) == 1:
            raise ValueError("first")
        return "done"

    @flow
    def main() -> str:
        return once()

    first = run_flow(main)
    cut = next(i for i, event in enumerate(first.events) if isinstance(event, e.TaskRetrying)) + 1
    wait_for = first.events[cut - 1].next_at
    again = resume(main, first.events[:cut])
    assert again.result == "done"
    started = of_type(again, e.TaskStarted)[-1]
    assert started.attempt == 2
    assert started.at >= wait_for
    assert started.task_run_id == first.tasks[0].id


def test_a_task_that_was_only_started_keeps_its_attempt():
    @task(retries=1)
    def once() -> int:
        return 1

    @flow
    def main() -> int:
        return once()

    first = run_flow(main)
    again = resume(main, first.events[:3])
    assert [event.attempt for event in of_type(again, e.TaskStarted)] == [1, 1]
    assert [event.epoch for event in of_type(again, e.TaskStarted)] == [1, 2]


def test_a_flow_is_tried_again_and_completed_tasks_are_not():
    ran = []
    attempt = flaky(2)

    @task
    def good() -> int:
        ran.append("good")
        return 1

    @task
    def bad() -> str:
        ran.append("bad")
        return attempt()

    @flow(retries=2, retry_delay_seconds=0.001)
    def main() -> str:
        good()
        return bad()

    result = run_flow(main)
    assert result.result == "done"
    assert ran == ["good", "bad", "bad", "bad"]
    assert [event.epoch for event in of_type(result, e.RunStarted)] == [1, 2, 3]
    assert [task.state.value for task in result.tasks] == ["COMPLETED", "COMPLETED"]
    assert result.history.run.state == "COMPLETED"


def test_a_flow_that_keeps_failing_fails():
    @flow(retries=1)
    def main() -> None:
        raise LookupError("always")

    result = run_flow(main)
    assert result.state == "FAILED"
    assert len(of_type(result, e.RunStarted)) == 2
    with pytest.raises(LookupError, match="always"):
        _ = result.result


def test_a_run_with_an_engine_is_given_back_for_its_next_try():
    ran = []
    attempt = flaky(2)

    @task
    def good() -> int:
        ran.append("good")
        return 1

    @task
    def tolerated() -> None:
        ran.append("tolerated")
        raise KeyError("k")

    @task
    def bad() -> str:
        ran.append("bad")
        return attempt()

    @flow(retries=2, retry_delay_seconds=30)
    def main() -> str:
        good()
        try:
            tolerated()
        except KeyError:
            return bad()
        return "no"

    run = RunContext(run_id=ids.uuid7(), flow_id=main.id, flow_name=main.name, engine_retries=True)
    journal = MemoryJournal(run.run_id, opening(run))
    outcome = RunSession(run, main, journal).execute_sync()
    assert outcome.state == "retrying"
    retrying = journal.events[-1]
    assert isinstance(retrying, e.RunRetrying)
    assert retrying.tries == 1
    assert 25 < (retrying.due_at - retrying.at).total_seconds() < 31
    ran.clear()
    second = resume(main, journal.events, engine_retries=True)
    assert second.outcome.state == "retrying"
    assert second.events[-1].tries == 2
    assert ran == ["tolerated", "bad"]  # in this try, what failed in the one before runs again
    ran.clear()
    cut = [i for i, event in enumerate(second.events) if isinstance(event, e.TaskFailed)][-1]
    crashed = resume(main, second.events[: cut + 1], engine_retries=True)
    assert ran == []  # both failed in this very try: their errors are raised again
    assert crashed.events[-1].tries == 2
    ran.clear()
    last = resume(main, second.events, engine_retries=True)
    assert last.result == "done"
    assert ran == ["tolerated", "bad"]


def test_a_failed_child_is_tried_again_with_its_parent():
    attempt = flaky(1)
    ran = []

    @task
    def inner() -> str:
        ran.append(1)
        return attempt()

    @flow
    def child() -> str:
        return inner()

    @flow(retries=1)
    def parent() -> str:
        return child()

    result = run_flow(parent)
    assert result.result == "done"
    assert len(ran) == 2
    own = [event.type for event in result.events if event.run_id != result.run.run_id]
    assert own.count("run.scheduled") == 1
    assert "run.retried" in own
    assert own[-1] == "run.completed"
