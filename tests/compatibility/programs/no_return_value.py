"""A flow without a return value fails when an exception reaches its end, and completes otherwise."""

from prefect import flow, task


@task
def always_fails():
    raise ValueError("I fail")


@flow
def ignores_state():
    always_fails(return_state=True)


@flow
def raises():
    always_fails()
    raise AssertionError("never reached")


def check():
    assert ignores_state(return_state=True).is_completed()
    assert ignores_state() is None
    assert raises(return_state=True).is_failed()
