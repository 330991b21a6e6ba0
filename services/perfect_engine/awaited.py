"""What has become of the distributed tasks that a run is suspended for: pure.

Folded from where the first of them was sent: they are judged by their dispatches, whichever epoch of the run sent them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES

_MARK = b'"dispatch_id"'


class Awaited:
    """life: of a paused run that waits for such tasks. seq: of its `run.suspended`, which names this wait among those of
    the run. position: how far it is folded, as a sequence on EVENTS. ids: of the events that were folded last.
    """

    def __init__(self, life: RunLife) -> None:
        assert life.awaited is not None
        self.run_id = life.id
        self.seq = life.last_seq
        self.position = life.awaited.after
        self._seen = life.awaited.seen
        self._history = History(msgspec.structs.replace(life, epoch=0))

    def apply(self, data: bytes, seq: int) -> str | None:
        """Fold one message. Returns the id of the event, if it tells of a distributed task."""
        self.position = seq
        event = decode(data)
        if event is not None:
            self._history.apply(event, seq)
        return event.id if event is not None else None

    @property
    def is_over(self) -> bool:
        """One of them has ended, and the run does not know."""
        return any(
            life.queued_seq and life.last_seq > self._seen and life.state in FINAL_TASK_STATES
            for life in self._history.tasks.values()
        )

    def clients(self, told: Mapping[str, int]) -> set[str]:
        """Who has one of them. told: client → up to which sequence the run was told that it is gone."""
        return {
            life.client_id
            for life in self._open()
            if life.client_id is not None and life.last_seq > told.get(life.client_id, 0)
        }

    def _open(self) -> list[TaskLife]:
        return [
            life
            for life in self._history.tasks.values()
            if life.queued_seq and life.state not in FINAL_TASK_STATES
        ]


def decode(data: bytes) -> Any:
    """The event of a message, None when it tells nothing of a distributed task."""
    if _MARK not in data:
        return None
    event = codec.decode(data)
    return None if isinstance(event, UnknownEvent) else event
