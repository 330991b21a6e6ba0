"""A child flow that fails raises in its parent, which may catch it."""

from prefect import flow


@flow
def child():
    raise LookupError("lost")


@flow
def careful():
    state = child(return_state=True)
    return f"{state.type.value} {state.is_failed()}"


@flow
def careless():
    child()


def check():
    assert careful() == "FAILED True"
    state = careless(return_state=True)
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), LookupError)
