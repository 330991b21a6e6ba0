"""Where the time of a run went: its life as a row of phases, from the events of its own subject. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from perfect_schemas import events as e
from perfect_schemas.envelope import Event
from perfect_schemas.folds.run import is_pausing_key

Kind = Literal["scheduled", "queued", "running", "waiting", "retry", "cancelling", "ended"]
_WAITED = {
    "input": "waited for input",
    "sleep": "slept",
    "child": "waited for child run {key}",
    "task": "waited for task {key} on another worker",
    "slot": "waited for a slot of {key}",
}
_FINAL = (e.RunCompleted, e.RunFailed, e.RunCancelled, e.RunCrashed)


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """end: None of the phase that the run is in. client_id: of `running`, who ran it.

    scheduled: not due yet. queued: due, and no worker had taken it. waiting: suspended, it held no slot. retry: until
    the flow's next try. ended: final, until somebody had it tried again.
    """

    kind: Kind
    start: datetime
    end: datetime | None
    text: str
    client_id: str | None = None
    epoch: int | None = None

    def duration_ms(self, now: datetime) -> float:
        return max(((self.end or now) - self.start).total_seconds() * 1000, 0.0)


def phases(events: Iterable[Event]) -> list[Phase]:
    """`events`: of the run's own subject, in their order. What does not begin a phase is passed over."""
    found: list[Phase] = []
    for event in events:
        begun = _begun(event)
        if begun is None:
            continue
        if found:
            found[-1] = msgspec.structs.replace(found[-1], end=max(event.at, found[-1].start))
        found.append(begun)
    return [phase for phase in found if phase.end is None or phase.end > phase.start]


def _begun(event: Event) -> Phase | None:
    match event:
        case e.RunScheduled(due_at=due):
            text = "was scheduled for later" if due and due > event.at else "was about to be queued"
            return _phase("scheduled", event, text)
        case e.RunQueued():
            return _phase("queued", event, "waited for a worker")
        case e.RunStarted(client_name=name, client_id=client, epoch=epoch):
            on = f"ran on {name or client}"
            return _phase("running", event, on, client_id=client, epoch=epoch)
        case e.RunSuspended():
            return _phase("waiting", event, _waited(event))
        case e.RunResumed():
            return _phase("queued", event, "waited for a worker to go on with it")
        case e.RunRetrying(tries=tries):
            return _phase("retry", event, f"waited for its next try, {tries} had failed")
        case e.RunLost(reason=reason):
            return _phase("queued", event, f"waited for another worker: {reason}")
        case e.RunCancelling(by=by):
            return _phase("cancelling", event, f"was being cancelled by {by}")
        case e.RunRetried(by=by):
            return _phase("queued", event, f"waited for a worker, tried again by {by}")
        case _ if isinstance(event, _FINAL):
            return _phase("ended", event, "had ended")
    return None


def _phase(
    kind: Kind, event: Event, text: str, *, client_id: str | None = None, epoch: int | None = None
) -> Phase:
    return Phase(kind=kind, start=event.at, end=None, text=text, client_id=client_id, epoch=epoch)


def _waited(event: e.RunSuspended) -> str:
    if is_pausing_key(event.key):
        return "was paused from outside"
    text = _WAITED.get(event.waits_for, "waited").format(key=event.key or "")
    return f"{text}, and {len(event.beside)} more beside it" if event.beside else text
