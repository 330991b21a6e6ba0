"""A flow that returns states or futures fails if any of them failed, and completes otherwise."""

from prefect import flow, task


@task
def always_fails():
    raise ValueError("I fail")


@task
def always_succeeds():
    return "foo"


@flow
def returns_both():
    return always_fails.submit(), always_succeeds.submit()


@flow
def returns_the_good_one():
    always_fails.submit().wait()
    return always_succeeds.submit()


@flow
def returns_states():
    return [always_fails(return_state=True), always_succeeds(return_state=True)]


@flow
def returns_values():
    x = always_fails.submit()
    y = always_succeeds.submit()
    x.wait()
    return y.result()


def check():
    assert returns_both(return_state=True).is_failed()
    assert returns_states(return_state=True).is_failed()
    assert returns_the_good_one(return_state=True).is_completed()
    # A returned value completes the flow whatever became of its tasks.
    assert returns_values() == "foo"
