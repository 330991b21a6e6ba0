"""Hooks of a task: called with the task, its run and the state; on_failure only after the last retry."""

from prefect import flow, task

calls = []


def succeeded(task, task_run, state):
    calls.append(("completed", task.name, state.is_completed(), state.result()))


def failed(task, task_run, state):
    calls.append(("failed", task.name, state.is_failed(), str(state.result(raise_on_failure=False))))


@task(on_completion=[succeeded])
def works():
    return 7


@task(on_failure=[failed], retries=2)
def breaks():
    raise ValueError("broken")


@works.on_completion
def too(task, task_run, state):
    calls.append("too")


@flow
def main():
    works()
    breaks(return_state=True)
    return "done"


def check():
    assert main() == "done"
    assert calls == [("completed", "works", True, 7), "too", ("failed", "breaks", True, "broken")]
