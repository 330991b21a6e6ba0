"""on_running hooks come before the body on every try of a task's first; hooks of `with_options` replace those of before."""

from prefect import flow, task

calls = []


def one(flow, flow_run, state):
    calls.append("one")


def two(flow, flow_run, state):
    calls.append("two")


@task(on_running=[lambda task, task_run, state: calls.append(f"running {state.name}")])
def works():
    calls.append("body")


@flow(on_completion=[one])
def main():
    works()


other = main.with_options(on_completion=[two])


def check():
    main()
    assert calls == ["running Running", "body", "one"]
    calls.clear()
    other()
    assert calls == ["running Running", "body", "two"]
