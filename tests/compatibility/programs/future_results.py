"""`future.result`: with a timeout, raising, or returning what failed; `wait`, then `state`; callbacks."""

import threading

from prefect import flow, task

go = threading.Event()
called = threading.Event()


@task
def waits():
    assert go.wait(20)
    return "went"


@task
def fails():
    raise KeyError("missing")


@flow
def main():
    future = waits.submit()
    try:
        future.result(timeout=0.05)
    except TimeoutError:
        pass
    else:
        raise AssertionError("it did not wait")
    future.wait(timeout=0.05)
    assert not future.state.is_final()
    future.add_done_callback(lambda _: called.set())
    go.set()
    assert future.result(timeout=20) == "went"
    failed = fails.submit()
    failed.wait()
    assert failed.state.is_failed()
    assert isinstance(failed.result(raise_on_failure=False), KeyError)
    try:
        failed.result()
    except KeyError:
        return "raised"


def check():
    assert main() == "raised"
    assert called.wait(20)
