"""Tasks that are called outside of a flow: run by the rules of one, recorded by nobody."""

import asyncio
import itertools
import logging
import threading

import pytest

from perfect_sdk import (
    exponential_backoff,
    flow,
    get_run_logger,
    runtime,
    sleep,
    tags,
    task,
    update_progress,
)
from perfect_sdk.artifacts import create_markdown_artifact
from perfect_sdk.cache_policies import FLOW_PARAMETERS, INPUTS, RUN_ID
from perfect_sdk.context import FlowRunContext, TaskRunContext, current
from perfect_sdk.exceptions import MissingContextError, NotSupported, TaskTimeoutError
from perfect_sdk.recording.logs import get_logger, task_run_logger
from perfect_sdk.testing import Clock, run_flow
from perfect_sdk.transactions import transaction
from perfect_sdk.waiting.pausing import pause_flow_run


class Thing:
    """Has no JSON form."""


@task
def same(value):
    return value


@task
def double(n: int) -> int:
    return n * 2


def test_it_is_the_function_to_whoever_calls_it(capsys):
    thing, error = Thing(), ValueError("the very one")

    @task
    def fails():
        raise error

    assert same(thing) is thing
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="the very one") as raised:
        fails()
    assert raised.value is error
    with pytest.raises(TypeError, match="missing 1 required"):
        double()
    assert current.get() is None


def test_it_is_tried_again_with_its_delays():
    delays, tries = [], []

    @task(retries=3, retry_delay_seconds=exponential_backoff(3600))
    def flaky() -> int:
        tries.append(clock.now())
        delays.append(runtime.task_run.run_count)
        if len(tries) < 4:
            raise OSError("not yet")
        return len(tries)

    with Clock() as clock:
        assert flaky() == 4
    assert delays == [1, 2, 3, 4]
    spans = [(later - before).total_seconds() for before, later in itertools.pairwise(tries)]
    assert spans == [3600, 7200, 14400]


def test_what_is_no_exception_is_not_tried_again():
    tries = []

    @task(retries=3)
    def leaves():
        tries.append(1)
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        leaves()
    assert tries == [1]
    assert double(1) == 2


def test_hooks_get_a_task_run_without_a_flow_run(capsys):
    said = []

    def hook(what, task_run, state):
        said.append((what.name, task_run.flow_run_id, state.name))
        task_run_logger(task_run).info("heard")

    @task(on_running=[hook], on_completion=[hook], on_failure=[hook])
    def hooked(fails: bool) -> None:
        if fails:
            raise KeyError("x")

    hooked(fails=False)
    assert hooked(fails=True, return_state=True).is_failed()
    names = [name for *_, name in said]
    assert names == ["Running", "Completed", "Running", "Failed"]
    assert {run_id for _, run_id, _ in said} == {None}
    assert capsys.readouterr().err.count("hooked-0: heard") == 4


def test_tasks_within_it_are_run_alike():
    tries = []

    @task(retries=1)
    def inner() -> str:
        tries.append(runtime.task_run.run_count)
        if len(tries) == 1:
            raise OSError("not yet")
        return runtime.task_run.id

    @task
    def outer() -> list[str]:
        return [runtime.task_run.id, inner(), inner()]

    first, second = outer(), outer()
    assert tries == [1, 2, 1, 1, 1]
    assert len({*first, *second}) == 6, "every task run has an id of its own"


def test_what_it_can_ask_of_itself():
    @task(task_run_name="for {n}", tags=["own"])
    def asks(n: int, m: int = 2):
        context = TaskRunContext.get()
        assert context is not None
        assert FlowRunContext.get() is None
        assert context.task_run.flow_run_id is None
        assert (runtime.task_run.name, runtime.task_run.task_name) == ("for 1", "asks")
        assert sorted(runtime.task_run.tags) == ["around", "own"]
        assert (runtime.task_run.api_url, runtime.task_run.ui_url) == (None, None)
        assert (runtime.flow_run.id, runtime.flow_run.name, runtime.flow_run.run_count) == (None, None, 0)
        assert (runtime.flow_run.parameters, runtime.deployment.flow_run_id) == ({}, None)
        return context.parameters

    with tags("around"):
        assert asks(1) == {"n": 1, "m": 2}


def test_what_it_logs_goes_to_stderr(capsys, caplog):
    @task
    def logs():
        get_run_logger().info("of the run")
        get_run_logger().debug("too low")
        get_logger("other").info("of the program")
        print("printed")

    root = logging.root.handlers[:], logging.root.level
    logs()
    said = capsys.readouterr()
    assert said.out == "printed\n"
    assert said.err.count("INFO     logs-0: of the run") == 1
    assert "too low" not in said.err
    assert "of the program" not in said.err
    record = next(record for record in caplog.records if record.getMessage() == "of the run")
    assert (record.flow_run_id, record.task_name) == (None, "logs")
    assert (logging.root.handlers, logging.root.level) == root


def test_a_flow_beside_it_hears_nothing_of_it(capsys):
    @task
    def logs():
        get_run_logger().info("of the thread")

    @flow
    def main() -> int:
        thread = threading.Thread(target=logs)  # a new thread is in no run
        thread.start()
        thread.join()
        get_run_logger().info("of the flow")
        return 1

    result = run_flow(main)
    assert [line.message for line in result.logs] == ["of the flow"]
    assert capsys.readouterr().err.count("of the thread") == 1


@pytest.mark.parametrize(
    ("policy", "times"),
    [
        ({"cache_policy": INPUTS}, 1),
        ({"cache_policy": INPUTS + RUN_ID}, 3),
        ({"persist_result": True}, 3),
        ({"cache_policy": FLOW_PARAMETERS}, 3),
        ({}, 3),
    ],
)
def test_its_cache_is_the_process(policy, times):
    ran = []

    @task(name=f"cached {policy}", **policy)
    def cached(n: int, big: str) -> int:
        ran.append(n)
        return n

    @task
    def around() -> int:
        return cached(1, "x" * 400_000)

    assert [cached(1, "x" * 400_000), cached(1, big="x" * 400_000), around()] == [1, 1, 1]
    assert len(ran) == times


def test_a_large_result_is_cached_too():
    ran = []

    @task(cache_policy=INPUTS)
    def large(n: int) -> str:
        ran.append(n)
        return "x" * 400_000

    assert large(5) == large(5)
    assert ran == [5]


def test_a_transaction_around_it():
    said = []

    @task(on_rollback=[lambda txn: said.append("undone")], on_commit=[lambda txn: said.append("done")])
    def staged(n: int) -> int:
        return n

    assert staged(1) == 1
    assert said == ["done"]
    said.clear()
    with transaction():
        staged(1)
        assert said == []
    assert said == ["done"]
    said.clear()

    def undone() -> None:
        with transaction():
            staged(1)
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        undone()
    assert said == ["undone"]

    @task
    def within() -> None:
        with transaction():
            staged(1)
            raise ValueError("inside")

    said.clear()
    with pytest.raises(ValueError, match="inside"):
        within()
    assert said == ["undone"]


def test_async_tasks_run_on_the_loop_of_whoever_awaits():
    @task(retries=1)
    async def where(seen: list[int]):
        seen.append(1)
        if len(seen) == 1:
            raise OSError("not yet")
        return asyncio.get_running_loop()

    @task
    async def several():
        return await asyncio.gather(where([0]), where([]), double_async(2))

    @task
    async def double_async(n: int) -> int:
        await asyncio.sleep(0)
        return n * 2

    async def main():
        state = await double_async(4, return_state=True)
        assert state.result() == 8
        loops = await several()
        assert loops == [asyncio.get_running_loop()] * 2 + [4]

    asyncio.run(main())


def test_its_time_is_limited():
    @task(timeout_seconds=0.01)
    async def waits() -> None:
        await asyncio.Event().wait()

    @task(timeout_seconds=0.01)
    def calls() -> None:
        threading.Event().wait(0.02)
        double(1)
        raise AssertionError("it should have ended")

    with pytest.raises(TaskTimeoutError, match=r"took longer than its 0\.01 s"):
        asyncio.run(waits())
    assert calls(return_state=True).name == "TimedOut"


def test_a_flow_that_it_calls_is_a_run_of_its_own(monkeypatch):
    monkeypatch.setenv("PERFECT_OFFLINE", "1")

    @flow
    def inner() -> tuple[str, str | None, int]:
        return runtime.flow_run.id, runtime.flow_run.parent_flow_run_id, double.submit(2).result()

    @task
    def outer() -> tuple[str, str | None, int]:
        return inner()

    run_id, parent, four = outer()
    assert run_id
    assert (parent, four) == (None, 4)


def test_futures_of_a_flow_that_has_ended_are_inputs():
    kept = []

    @flow
    def main() -> None:
        kept.append(double.submit(4))

    run_flow(main)
    assert same({"deep": kept}) == {"deep": [8]}
    assert double(1, wait_for=kept) == 2


def test_what_needs_a_flow_says_so():
    @task
    def asks(what):
        what()

    for submits in (lambda: double.submit(1), lambda: double.map([1])):
        with pytest.raises(MissingContextError, match=r"submit\(\) needs a running flow"):
            asks(submits)
    with pytest.raises(NotSupported, match="call it in the flow"):
        asks(pause_flow_run)


def test_what_is_said_of_a_run_is_taken_and_dropped():
    @task
    def says() -> bool:
        update_progress(0.5)
        return create_markdown_artifact("# kept by nobody", key="report") is not None

    assert says()


def test_sleeping_in_it():
    @task
    def sleeps() -> float:
        before = clock.now()
        sleep(60)
        return (clock.now() - before).total_seconds()

    with Clock() as clock:
        assert sleeps() == 60
