"""A flow that returns Cancelled is cancelled, and its on_cancellation hooks run."""

from prefect import flow
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled

calls = []


def cancelled(flow, flow_run, state):
    calls.append(state.name)


@flow(on_cancellation=[cancelled])
def gives_up():
    return Cancelled(message="not today")


def check():
    state = gives_up(return_state=True)
    assert state.is_cancelled()
    assert calls == ["Cancelled"]
    try:
        gives_up()
    except CancelledRun:
        pass
    else:
        raise AssertionError("nothing was raised")
