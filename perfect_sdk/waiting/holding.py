"""Standing still because somebody pauses the run from outside (`run.pausing`), until somebody resumes it.

The run stops where its flow's code next calls a task, a child flow or a wait; what is under way is finished and recorded
first, and nothing stops inside a task. Inline child runs stop likewise, each suspended under such a key, too, and go on
when they are called again: it is the outermost one that is resumed. The key takes no place in the flow: a replay need not
find it.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfect_schemas.events import RunSuspended
from perfect_schemas.folds.run import pausing_key
from perfect_sdk.running.effects import Commit, Future, Steps
from perfect_sdk.waiting.floor import Parked, around, inside
from perfect_sdk.waiting.waits import Turn, clocks

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.context import Frame

_FIRST = datetime.min.replace(tzinfo=UTC)


class Held(Parked):
    """A place where the run stops because it is to pause: before every wait that is parked beside it."""

    __slots__ = ()
    is_held = True

    def __init__(self, frame: "Frame", call: "Call | None") -> None:
        super().__init__(frame, "", "input", None)
        if call is not None:
            self.calls = set(inside(call))
        self.rank = (self.rank[0], _FIRST, 0)


def before(call: "Call") -> Steps[None]:
    """Called before `call` begins. A child run that has begun is gone into: it stops where it is."""
    inside = (one for one in around(call.frame) if not one.is_flow)
    if next(inside, None) is None and not (call.is_flow and call.record is not None):
        yield from hold(call.frame, call)


def hold(frame: "Frame", call: "Call | None" = None) -> Steps[None]:
    """Stand still as long as the run is to pause. A run that is handed out again is unwound: raises FlowSuspended.

    call: that is not begun yet.
    """
    while frame.session.is_pausing:
        yield from _once(frame, call)


def _once(frame: "Frame", call: "Call | None") -> Steps[None]:
    session = frame.session
    parked = Held(frame, call)
    try:
        if not (yield Turn(frame, parked)):
            return
        if not session.run.suspends:
            yield from _stay(frame)
            return
        event = session.event(
            RunSuspended,
            waits_for="input",
            key=pausing_key(session.epoch),
            pending=clocks(session, parked),
        )
        yield Commit(session, event)
        session.stop.suspend()
    finally:
        session.floor.leave(parked)
    session.stop.raise_()


def _stay(frame: "Frame") -> Steps[None]:
    """A run that nobody hands out again stays in its process, and claims its next epoch when it is resumed."""
    root = frame.session.root
    event = root.event(RunSuspended, waits_for="input", key=pausing_key(root.epoch))
    yield Commit(root, event)
    root.say(20, f"flow {root.run.flow_name!r} is paused until it is resumed")
    yield Future(root, root.journal.until_resumed())
    yield from root.next_epoch()
    root.journal.is_pausing = False
    root.floor.wake_held()
