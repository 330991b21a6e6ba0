"""A task that is called outside of a flow: the same rules as in one, by a session of its own that nobody records.

The outermost call makes the session, and what it calls joins it. There is no run: no id of one, no flow, no journal on the
bus. What it says goes to stderr; what it computes is kept for the process's own cache alone.
"""

import logging
from functools import cache
from typing import Any

from perfect_schemas import ids
from perfect_sdk.calling.keys import Scope
from perfect_sdk.committing import transaction
from perfect_sdk.context import Frame, current
from perfect_sdk.flow import Flow
from perfect_sdk.futures import PerfectFuture
from perfect_sdk.recording import logs
from perfect_sdk.running.local import ConsoleJournal, configuration
from perfect_sdk.running.session import RunSession
from perfect_sdk.runs import RunContext


class OutsideSession(RunSession):
    """Of one outermost call. Nothing of it is replayed, so neither inputs nor results are encoded."""

    has_flow = False

    def __init__(self) -> None:
        run_id = ids.uuid7()
        flow = _no_flow()
        run = RunContext(run_id=run_id, flow_id=flow.id, flow_name=flow.name, configuration=configuration())
        super().__init__(run, flow, ConsoleJournal(run_id, keep=False), interruptible=True)
        self.has_futures = PerfectFuture.made  # by a flow: it may have ended, they are still inputs


def frame() -> Frame:
    """What the outermost call is made in; a `with transaction()` around it counts."""
    made = Frame(OutsideSession(), Scope())
    made.transaction = transaction.around_no_run()
    return made


@cache
def _no_flow() -> "Flow[..., Any]":
    return Flow(_nothing, name="outside of a flow")


def _nothing() -> None:
    """Stands where the flow would."""


class _Handler(logging.Handler):
    """What tasks outside of flows log by `get_run_logger`. All else that is logged there is as in any program."""

    def emit(self, record: logging.LogRecord) -> None:
        frame = getattr(record, "perfect_frame", None) or current.get()
        if frame is not None and not frame.session.has_flow:
            logs.hand_over(self, frame, record)


logging.getLogger(logs.TASK_LOGGER).addHandler(_Handler())
