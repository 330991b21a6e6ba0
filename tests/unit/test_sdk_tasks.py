"""States, hooks and options of tasks."""

import asyncio
import threading

import pytest

from perfect_sdk import flow, task
from perfect_sdk.exceptions import (
    CancelledRun,
    FailedRun,
    NotSupported,
)
from perfect_sdk.states import Cancelled, Completed, Failed
from perfect_sdk.testing import run_flow


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
