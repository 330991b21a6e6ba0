"""on_crashed is for flows that end by no failure of their own: what is no Exception, or a Crashed state that they return."""

import sys

from prefect import flow, task
from prefect.exceptions import CrashedRun
from prefect.states import Crashed

calls = []


def hook(name):
    def called(flow, flow_run, state):
        calls.append((name, flow.name, state.type.value))

    return called


hooks = {
    "on_crashed": [hook("crashed")],
    "on_failure": [hook("failed")],
    "on_completion": [hook("completed")],
    "on_cancellation": [hook("cancelled")],
}


@flow(**hooks)
def says_so():
    return Crashed(message="the disk is gone")


@task
def leaves():
    sys.exit(3)


@flow(**hooks)
def left():
    leaves()


@flow
def decorated():
    raise SystemExit("now")


@decorated.on_crashed
def after(flow, flow_run, state):
    calls.append("after")


@flow(**hooks)
def fails():
    raise ValueError("on purpose")


def check():
    calls.clear()
    state = says_so(return_state=True)
    assert (state.type.value, state.message) == ("CRASHED", "the disk is gone")
    try:
        says_so()
    except CrashedRun as error:
        assert "the disk is gone" in str(error)
    assert calls == [("crashed", "says-so", "CRASHED")] * 2
    calls.clear()
    try:
        left()
    except SystemExit as error:
        assert error.code == 3
    assert calls == [("crashed", "left", "CRASHED")]
    calls.clear()
    try:
        decorated()
    except SystemExit:
        assert calls == ["after"]
    calls.clear()
    fails(return_state=True)
    assert calls == [("failed", "fails", "FAILED")]
