"""Retries, timeouts, results, states, hooks: what a task's options promise."""

import asyncio
import dataclasses
import threading
import time
from datetime import datetime

import pytest

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_sdk import exponential_backoff, flow, task
from perfect_sdk.exceptions import (
    CancelledRun,
    FailedRun,
    FlowTimeoutError,
    NotSupported,
    RecordedError,
    TaskTimeoutError,
)
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.running.local import opening
from perfect_sdk.running.session import RunContext, RunSession
from perfect_sdk.states import Cancelled, Completed, Failed
from perfect_sdk.testing import resume, run_flow, run_flow_async


def of_type(result, kind):
    return [event for event in result.events if isinstance(event, kind)]


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


@dataclasses.dataclass
class Point:
    x: int
    when: datetime


def test_a_dataclass_comes_back_as_a_dataclass():
    point = Point(1, datetime(2026, 1, 2, 3, 4))

    @task
    def make() -> Point:
        return point

    @task
    def many() -> dict[str, list[Point]]:
        return {"p": [point]}

    @flow
    def main() -> list[str]:
        assert make() == point
        assert many() == {"p": [point]}
        return [type(make()).__name__]

    first = run_flow(main)
    assert first.result == ["Point"]
    assert resume(main, first.events[:-1]).result == ["Point"]


class Odd:
    """Nothing that JSON has."""

    def __eq__(self, other):
        return isinstance(other, Odd)

    __hash__ = None


def test_a_result_that_cannot_be_stored_warns_once_and_the_task_runs_again():
    ran = []

    @task
    def odd() -> Odd:
        ran.append(1)
        return Odd()

    @flow
    def main() -> object:
        assert odd() == odd()
        return Odd()

    first = run_flow(main)
    assert first.state == "COMPLETED"
    assert [event.result for event in of_type(first, e.TaskCompleted)] == [None, None]
    assert of_type(first, e.RunCompleted)[0].result is None
    warnings = [line.message for line in first.logs if line.level == 30]
    assert len(warnings) == 2  # one for the task, one for the flow
    assert "'odd'" in warnings[0]
    assert "Odd" in warnings[0]
    again = resume(main, first.events[:-1])
    assert again.state == "COMPLETED"
    assert len(ran) == 4


def test_pickle_keeps_any_value():
    ran = []

    @task(result_serializer="pickle")
    def odd() -> Odd:
        ran.append(1)
        return Odd()

    @flow
    def main() -> bool:
        return odd() == Odd()

    first = run_flow(main)
    stored = of_type(first, e.TaskCompleted)[0].result
    assert stored.serializer == "pickle"
    assert resume(main, first.events[:-1]).result is True
    assert len(ran) == 1


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_large_result_is_kept_by_reference(serializer):
    ran = []

    @task(result_serializer=serializer)
    def large() -> str:
        ran.append(1)
        return "x" * 300_000

    @flow(result_serializer=serializer)
    def main() -> str:
        return large()

    first = run_flow(main)
    stored = of_type(first, e.TaskCompleted)[0].result
    assert stored.ref in first.journal.shared.objects
    assert stored.size_bytes >= 300_000
    again = resume(main, first.events[:-1], objects=first.journal.shared.objects)
    assert again.result == "x" * 300_000
    assert len(ran) == 1


class CustomError(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    def __reduce__(self):
        return type(self), (self.code, self.detail)


def test_a_recorded_error_has_its_class_and_arguments():
    seen = []

    @task
    def bad(how: str) -> None:
        if how == "custom":
            raise CustomError(404, "gone")
        if how == "local":

            class Local(Exception):
                pass

            raise Local("here only")
        raise KeyError("k")

    @flow
    def main() -> None:
        for how in ("custom", "local", "key"):
            try:
                bad(how)
            except Exception as error:
                seen.append(error)

    first = run_flow(main)
    seen.clear()
    resume(main, first.events[:-1])
    custom, local, key = seen
    assert isinstance(custom, CustomError)
    assert (custom.code, custom.detail) == (404, "gone")
    assert isinstance(local, RecordedError)
    assert "here only" in str(local)
    assert isinstance(key, KeyError)
    assert key.args == ("k",)
    assert "Recorded by an earlier execution" in key.__notes__[0]


def test_states_returned_and_asked_for():
    @task
    def skip(how: str):
        return {"ok": Completed(data=3), "bad": Failed("by hand")}[how]

    @task
    def wrong() -> None:
        raise ValueError("x")

    @flow
    def main() -> list[str]:
        assert skip("ok") == 3
        state = skip("bad", return_state=True)
        assert isinstance(state.result(raise_on_failure=False), FailedRun)
        return [state.name, wrong(return_state=True).message, skip("ok", return_state=True).name]

    assert run_flow(main).result == ["Failed", "ValueError: x", "Completed"]

    @flow
    def gives_up():
        return Cancelled("enough")

    result = run_flow(gives_up)
    assert result.state == "CANCELLED"

    @flow
    def parent() -> str:
        try:
            gives_up()
        except CancelledRun:
            return "child was cancelled"
        return "no"

    assert run_flow(parent).result == "child was cancelled"


def test_hooks():
    said = []

    def hook(what):
        def call(_, run, state):
            said.append((what, getattr(run, "name", None), state.name))

        return call

    async def async_hook(_task, task_run, state):
        await asyncio.sleep(0)
        said.append(("async", task_run.name, state.name))

    def broken(*_):
        raise RuntimeError("hook")

    @task(on_completion=[hook("t+"), broken], on_failure=[hook("t-"), async_hook], on_running=[hook("t>")])
    def sometimes(fails: bool) -> None:
        if fails:
            raise ValueError("x")

    @flow(on_completion=[hook("f+")], on_failure=[hook("f-")], on_running=[hook("f>")])
    def main(fails: bool) -> None:
        sometimes(fails)

    @main.on_failure
    def decorated(flow, flow_run, state):
        said.append(("decorated", flow.name, flow_run.state.is_failed()))

    result = run_flow(main, {"fails": False})
    assert result.state == "COMPLETED"
    assert [what for what, *_ in said] == ["f>", "t>", "t+", "f+"]
    assert any("hook 'broken' failed" in line.message for line in result.logs)
    said.clear()
    run_flow(main, {"fails": True})
    assert [what for what, *_ in said] == ["f>", "t>", "t-", "async", "f-", "decorated"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cache_policy": object()}, "cache_policy"),
        ({"retries": -1}, "retries"),
        ({"weight": 0}, "weight"),
        ({"estimated_time": -5}, "estimated_time"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"retry_delay_seconds": "soon"}, "retry_delay_seconds"),
        ({"result_serializer": "xml"}, "pickle"),
        ({"task_run_name": 3}, "task_run_name"),
        ({"cache_expiration": 60}, "timedelta"),
    ],
)
def test_what_is_not_supported_says_so(options, says):
    with pytest.raises(NotSupported, match=says):
        task(**options)(lambda: None)


def test_more_that_is_not_supported():
    with pytest.raises(TypeError, match="there is no option 'retrys'"):
        task(retrys=3)(lambda: None)
    with pytest.raises(NotSupported, match="generator"):

        @task
        def gen():
            yield 1

    with pytest.raises(NotSupported, match="not at the top level"):
        flow(lambda: None).serve()
    with pytest.warns(UserWarning, match="viz_return_value= has no effect"):
        task(viz_return_value=3)(lambda: None)


def test_with_options_and_plain_calls():
    @task(retries=2, weight=5, estimated_time=3000, tags=["a"])
    def base(x: int) -> int:
        "Doc."
        return x

    other = base.with_options(name="other", retries=0)
    assert (other.name, other.policy.retries, other.weight, other.estimated_time) == ("other", 0, 5.0, 3000)
    assert (base.name, base.policy.retries, base.description) == ("base", 2, "Doc.")
    assert base(3) == 3
    assert base.fn(4) == 4


def test_tasks_as_methods():
    class Source:
        def __init__(self, n: int) -> None:
            self.n = n

        @task
        def read(self, more: int) -> int:
            return self.n + more

    @flow
    def main() -> int:
        return Source(3).read(4) + Source(5).read.submit(1).result()

    result = run_flow(main)
    assert result.result == 13
    assert [task.name for task in result.tasks] == ["read", "read"]


def test_a_task_that_calls_sys_exit_fails_the_run():
    @flow
    def main() -> None:
        raise SystemExit(3)

    result = run_flow(main)
    assert result.state == "FAILED"
    assert result.history.run.error.kind == "builtins:SystemExit"


def test_many_threads_of_the_users_keep_their_context():
    import contextvars

    @task
    def where(i: int) -> int:
        return i

    @flow
    def main() -> list[int]:
        got: list[int] = []
        threads = []
        for i in range(3):
            context = contextvars.copy_context()
            threads.append(threading.Thread(target=context.run, args=(lambda i=i: got.append(where(i)),)))
        for thread in threads:
            thread.start()
            thread.join()
        return sorted(got)

    result = run_flow(main)
    assert result.result == [0, 1, 2]
    assert {task.key for task in result.tasks} == {"where-0", "where-1", "where-2"}
