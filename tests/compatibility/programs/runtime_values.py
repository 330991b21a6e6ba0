"""`runtime` tells code what it is part of, and nothing outside of a run."""

from prefect import flow, runtime, task
from prefect.runtime import deployment, flow_run, task_run


@task
def of_task(x):
    return [runtime.task_run.task_name, runtime.task_run.parameters, runtime.task_run.run_count, task_run.id]


@flow(name="runtime flow", version="v7")
def main(a: int, b: str = "B"):
    assert flow_run.scheduled_start_time is not None
    assert deployment.name is None
    return [
        flow_run.flow_name,
        flow_run.parameters,
        flow_run.run_count,
        flow_run.tags,
        of_task(1),
        flow_run.id,
    ]


def check():
    assert flow_run.id is None
    assert task_run.id is None
    assert flow_run.parameters == {}
    name, parameters, count, tags, task_values, run_id = main(1)
    assert (name, parameters, count, tags) == ("runtime flow", {"a": 1, "b": "B"}, 1, [])
    assert task_values[:3] == ["of_task", {"x": 1}, 1]
    assert task_values[3] != run_id
