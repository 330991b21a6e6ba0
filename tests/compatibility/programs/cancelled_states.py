"""A flow that returns Cancelled is cancelled, and so is one that returns futures or states one of which was."""

from prefect import flow, task
from prefect.exceptions import CancelledRun
from prefect.states import Cancelled


@task
def gives_up_early():
    return Cancelled(message="not today")


@flow
def gives_up():
    return Cancelled(message="not today")


@flow
def of_its_task():
    return gives_up_early(return_state=True)


def check():
    state = gives_up(return_state=True)
    assert state.is_cancelled()
    assert of_its_task(return_state=True).is_cancelled()
    try:
        gives_up()
    except CancelledRun:
        pass
    else:
        raise AssertionError("nothing was raised")
