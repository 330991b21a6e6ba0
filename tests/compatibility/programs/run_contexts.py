"""The context objects: the flow, its run and its parameters, from anywhere in the run."""

from prefect import flow, task
from prefect.context import FlowRunContext, TaskRunContext, get_run_context
from prefect.exceptions import MissingContextError


@task
def in_task(x):
    context = get_run_context()
    assert isinstance(context, TaskRunContext)
    return context.task.name, str(context.task_run.id) != "", TaskRunContext.get().parameters


@flow
def main(n: int):
    context = FlowRunContext.get()
    assert context.flow.name == "main"
    assert context.parameters == {"n": n}
    assert TaskRunContext.get() is None
    return in_task(n), bool(context.flow_run.name)


def check():
    assert main(3) == (("in_task", True, {"x": 3}), True)
    assert FlowRunContext.get() is None
    try:
        get_run_context()
    except MissingContextError:
        pass
    else:
        raise AssertionError("there is no run here")
