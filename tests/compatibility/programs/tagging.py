"""`tags(…)` gives tags to the runs that begin within; tags of a flow do not reach its tasks."""

from prefect import flow, tags, task
from prefect.runtime import flow_run, task_run


@task(tags=["of the task"])
def seen_by_task():
    return sorted(task_run.tags)


@flow
def main():
    with tags("inner"):
        inside = seen_by_task()
    return sorted(flow_run.tags), inside, seen_by_task()


def check():
    with tags("a", "b"):
        assert main() == (["a", "b"], ["a", "b", "inner", "of the task"], ["a", "b", "of the task"])
    assert main() == ([], ["inner", "of the task"], ["of the task"])
    with tags("outer"), tags("nested") as current:
        assert current == {"outer", "nested"}
