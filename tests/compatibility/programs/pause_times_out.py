"""A pause that nobody ends in time raises FlowPauseTimeout."""

from prefect import flow, pause_flow_run
from prefect.exceptions import FlowPauseTimeout

NEEDS = "system"


@flow
def main():
    pause_flow_run(timeout=1, poll_interval=1)


def check():
    state = main(return_state=True)
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), FlowPauseTimeout)
