"""The exceptions that programs catch are where they were, and of the kinds that they were."""

from prefect import flow, task
from prefect.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    MissingContextError,
    MissingResult,
    ObjectNotFound,
    PausedRun,
    PrefectException,
    UnfinishedRun,
)
from prefect.states import Cancelled, Crashed, Failed, Running


def raised(state):
    try:
        state.result()
    except Exception as error:
        return type(error)


@task
def fails_by_state():
    return Failed(message="by state")


@flow
def main():
    try:
        fails_by_state.submit().result()
    except FailedRun as error:
        return str(error)


def check():
    assert raised(Failed(message="a")) is FailedRun
    assert raised(Crashed(message="a")) is CrashedRun
    assert raised(Cancelled(message="a")) is CancelledRun
    assert raised(Running()) is UnfinishedRun
    for kind in (
        CancelledRun,
        CrashedRun,
        FailedRun,
        MissingContextError,
        MissingResult,
        ObjectNotFound,
        PausedRun,
    ):
        assert issubclass(kind, PrefectException), kind
    assert "by state" in main()
