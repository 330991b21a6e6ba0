"""A flow called in a flow is a run of its own, with the calling run as its parent."""

from prefect import flow, task
from prefect.runtime import flow_run

seen = {}


@task
def square(n: int) -> int:
    return n * n


@flow(flow_run_name="child of {n}")
def child(n: int) -> int:
    seen["child"] = (flow_run.id, flow_run.parent_flow_run_id, flow_run.root_flow_run_id, flow_run.name)
    return square(n)


@flow
def parent(n: int):
    seen["parent"] = flow_run.id
    state = child(n, return_state=True)
    return child(str(n)), state.is_completed()


def check():
    assert parent(3) == (9, True)
    child_id, parent_id, root_id, name = seen["child"]
    assert child_id != seen["parent"]
    assert parent_id == root_id == seen["parent"]
    assert name == "child of 3"
