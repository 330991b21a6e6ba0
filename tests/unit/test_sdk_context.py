"""What code can ask of the run around it: tags, `runtime`, the contexts."""

import asyncio

import pytest

from perfect_schemas.events import RunScheduled, TaskStarted
from perfect_sdk import flow, get_run_logger, runtime, tags, task
from perfect_sdk.context import FlowRunContext, TaskRunContext, get_run_context
from perfect_sdk.exceptions import InvalidInput, MissingContextError
from perfect_sdk.logging.loggers import flow_run_logger, task_run_logger
from perfect_sdk.testing import run_flow, run_flow_async


@task(tags=["own"])
def told(a, b=2):
    return {
        "name": runtime.task_run.task_name,
        "run": runtime.task_run.name,
        "tags": runtime.task_run.tags,
        "parameters": runtime.task_run.parameters,
        "count": runtime.task_run.run_count,
        "flow": runtime.flow_run.flow_name,
    }


@task
async def told_async():
    await asyncio.sleep(0)
    return runtime.task_run.tags


@flow
def below():
    return [runtime.flow_run.tags, runtime.flow_run.parent_flow_run_id, runtime.flow_run.root_flow_run_id]


def started(result):
    return {event.task_key: event.tags for event in result.events if isinstance(event, TaskStarted)}


def test_tags_reach_the_tasks_and_child_flows_inside() -> None:
    @flow
    def outer():
        told(0)
        with tags("a") as one, tags("b", "a") as both:
            assert (one, both) == ({"a"}, {"a", "b"})
            told(1)
            told.submit(2).result()
            found = below()
        told(3)
        return found

    result = run_flow(outer)
    assert result.result[0] == ["a", "b"]
    assert started(result) == {
        "told-0": ["own"],
        "told-1": ["own", "a", "b"],
        "told-2": ["own", "a", "b"],
        "below-0": ["a", "b"],
        "told-3": ["own"],
    }
    assert {task.key: task.tags for task in result.tasks}["told-1"] == ["own", "a", "b"]
    children = [event for event in result.events if isinstance(event, RunScheduled)]
    assert [event.tags for event in children] == [[], ["a", "b"]]
    assert result.result[1] == result.result[2] == result.run.run_id


async def test_tags_of_async_branches_stay_apart() -> None:
    @flow
    async def outer():
        async def branch(name):
            with tags(name):
                return await told_async()

        return await asyncio.gather(*map(branch, "abc"))

    assert (await run_flow_async(outer)).result == [["a"], ["b"], ["c"]]


def test_tags_around_a_flow_are_its_own() -> None:
    with tags("nightly"):
        result = run_flow(below)
    assert result.run.tags == ["nightly"]
    with pytest.raises(InvalidInput), tags(1):  # type: ignore[arg-type]
        pass


def test_runtime_inside() -> None:
    @flow(version="7", tags=["t"])
    def outer(day="today", size=3):
        assert runtime.task_run.id is None
        return [
            told(1, b=[5]), runtime.flow_run.parameters, runtime.flow_run.id, runtime.flow_run.run_count,
            runtime.flow_run.scheduled_start_time is not None, runtime.deployment.id, runtime.flow_run.tags,
        ]  # fmt: skip

    result = run_flow(outer, {"day": "Monday"})
    assert result.result == [
        {
            "name": "told", "run": "told-0", "tags": ["own"], "parameters": {"a": 1, "b": [5]}, "count": 1, "flow": "outer",
        },
        {"day": "Monday", "size": 3}, result.run.run_id, 1, True, None, ["t"],
    ]  # fmt: skip


def test_runtime_outside() -> None:
    flow_run, task_run, deployment = runtime.flow_run, runtime.task_run, runtime.deployment
    assert [flow_run.id, flow_run.name, flow_run.scheduled_start_time, task_run.id, deployment.id] == [
        None
    ] * 5
    assert (flow_run.tags, flow_run.parameters, flow_run.run_count) == ([], {}, 0)
    assert (task_run.tags, task_run.parameters, deployment.parameters) == ([], {}, {})
    assert "scheduled_start_time" in dir(flow_run)
    with pytest.raises(AttributeError):
        _ = flow_run.nothing


def test_contexts() -> None:
    @task
    def inside(x):
        mine = get_run_context()
        assert isinstance(mine, TaskRunContext)
        assert mine == TaskRunContext.get()
        assert mine.task is inside
        around = FlowRunContext.get()
        assert around is not None
        return [mine.task_run.name, mine.task_run.flow_run_id, mine.parameters, around.flow.name]

    @flow
    def outer(day="d"):
        mine = get_run_context()
        assert isinstance(mine, FlowRunContext)
        assert TaskRunContext.get() is None
        return [*inside(4), mine.flow_run.id, mine.flow_run.name, mine.parameters]

    result = run_flow(outer, {"day": "x"})
    run_id = result.run.run_id
    assert result.result == ["inside-0", run_id, {"x": 4}, "outer", run_id, run_id, {"day": "x"}]
    assert FlowRunContext.get() is TaskRunContext.get() is None
    with pytest.raises(MissingContextError):
        get_run_context()


def test_loggers_of_hooks_and_their_extras() -> None:
    def after(_, run, __):
        flow_run_logger(run).info("the flow has ended")

    def task_after(what, run, __):
        task_run_logger(run, what).info("the task has ended")

    @task(on_completion=[task_after])
    def one():
        get_run_logger().info("inside", extra={"more": 1})
        return get_run_logger().extra["task_name"]  # type: ignore[index]

    @flow(on_completion=[after])
    def outer():
        return [one(), get_run_logger(colour="red").extra]

    result = run_flow(outer)
    name, extra = result.result
    assert name == "one"
    assert (extra["flow_name"], extra["flow_run_id"], extra["colour"]) == ("outer", result.run.run_id, "red")
    said = [(line.message, line.task_key) for line in result.logs]
    assert said == [("inside", "one-0"), ("the task has ended", "one-0"), ("the flow has ended", None)]
    with pytest.raises(MissingContextError):
        get_run_logger()
