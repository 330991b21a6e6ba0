"""What depends on a task that failed does not run; `allow_failure` lets it run all the same."""

from prefect import allow_failure, flow, task

ran = []


@task
def fails():
    raise ValueError("This task will fail")


@task
def after(x):
    ran.append("after")
    return x


@task
def clean_up(x):
    ran.append("clean_up")
    return type(x).__name__


@flow
def main():
    failed = fails.submit()
    dependent = after.submit(failed)
    waiting = after.submit(1, wait_for=[failed])
    cleaned = clean_up.submit(allow_failure(failed))
    dependent.wait()
    waiting.wait()
    assert not dependent.state.is_completed()
    assert not waiting.state.is_completed()
    return cleaned.result()


def check():
    assert main() == "ValueError"
    assert ran == ["clean_up"]
