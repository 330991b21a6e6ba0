"""Outside of flows a task that is called is run as within one; it can be submitted and mapped within flows only."""

import asyncio

from prefect import flow, get_run_logger, runtime, tags, task
from prefect.cache_policies import INPUTS
from prefect.context import FlowRunContext, TaskRunContext
from prefect.transactions import transaction

SAYS = ("said outside of a flow",)
calls = []


def hook(task, task_run, state):
    calls.append((task.name, state.name, task_run.flow_run_id))


@task
def double(n: int) -> int:
    return n * 2


@task(retries=2, retry_delay_seconds=0.01, on_running=[hook], on_completion=[hook], on_failure=[hook])
def flaky(fails: int) -> int:
    calls.append("body")
    if calls.count("body") <= fails:
        raise KeyError("x")
    return calls.count("body")


@task(cache_policy=INPUTS, persist_result=True)
def cached(n: int) -> int:
    calls.append(n)
    return n


@task(persist_result=True)
def kept(n: int) -> int:
    calls.append(n)
    return n


@task(timeout_seconds=0.05)
async def slow():
    await asyncio.sleep(30)


@task
async def where():
    return asyncio.get_running_loop()


@task(task_run_name="of {n}", tags=["own"])
def told(n: int, m: int = 2):
    get_run_logger().info("said outside of a flow")
    context = TaskRunContext.get()
    assert FlowRunContext.get() is None
    assert context.parameters == {"n": n, "m": m}
    assert context.task_run.flow_run_id is None
    assert runtime.task_run.name == "of 1"
    assert runtime.task_run.task_name == "told"
    assert set(runtime.task_run.tags) == {"own", "around"}
    assert runtime.flow_run.id is None
    assert runtime.flow_run.name is None
    assert runtime.flow_run.tags == []
    return runtime.task_run.run_count


@task
def nested(n: int):
    try:
        double.submit(n)
    except RuntimeError:
        return double(n) + double(n)


@flow
def inner():
    return runtime.flow_run.id


@task
def calls_a_flow():
    return inner()


@task
def staged(n: int) -> int:
    return n


@staged.on_rollback
def undo(transaction):
    calls.append("undone")


def has_no_runner(submit):
    try:
        submit()
    except RuntimeError:
        return True
    return False


async def on_its_loop():
    loops = await asyncio.gather(where(), where())
    return all(loop is asyncio.get_running_loop() for loop in loops)


def check():
    calls.clear()
    assert double(2) == 4
    assert double(3, return_state=True).result() == 6
    assert double(1, wait_for=[double(2, return_state=True)]) == 2
    assert flaky(2) == 3
    assert [call for call in calls if call != "body"][-1] == ("flaky", "Completed", None)
    assert ("flaky", "Running", None) in calls
    calls.clear()
    state = flaky(9, return_state=True)
    assert state.is_failed()
    assert calls.count("body") == 3
    assert calls[-1] == ("flaky", "Failed", None)
    try:
        flaky(99)
    except KeyError as error:
        assert error.args == ("x",)
    calls.clear()
    assert [cached(n=771), cached(771), cached(771)] == [771] * 3
    assert cached(771, return_state=True).name == "Cached"
    assert calls == [771]
    calls.clear()
    assert [kept(1), kept(1)] == [1, 1]
    assert calls == [1, 1], "by default a result is reused within a run only"
    assert asyncio.run(slow(return_state=True)).name == "TimedOut"
    assert asyncio.run(on_its_loop())
    with tags("around"):
        assert told(1) == 1
    assert nested(2) == 8
    assert calls_a_flow()
    calls.clear()
    try:
        with transaction():
            staged(1)
            raise ValueError("on purpose")
    except ValueError:
        assert calls == ["undone"]
    assert has_no_runner(lambda: double.submit(2))
    assert has_no_runner(lambda: double.map([1, 2]))
