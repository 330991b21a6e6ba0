"""`return_state=True` gives the state instead of the result, and raises nothing."""

from prefect import flow, task
from prefect.states import State


@task
def halve(n: int) -> float:
    if n == 0:
        raise ValueError("nothing to halve")
    return n / 2


@flow
def main(n: int):
    state = halve(n, return_state=True)
    assert isinstance(state, State)
    if state.is_failed():
        return "failed"
    return state.result()


def check():
    assert main(4) == 2
    assert main(0) == "failed"
    state = main(4, return_state=True)
    assert state.is_completed()
    assert state.is_final()
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.result() == 2
