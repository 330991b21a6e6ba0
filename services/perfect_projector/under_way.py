"""Which runs go on just now, as far as what comes from the stream tells: only how long is gathered depends on it.

Read off the first bytes of an event, whose `type` stands first on the wire. A message that is written otherwise counts for
nothing here.
"""

from perfect_schemas import events as e
from perfect_schemas import subjects
from perfect_schemas.envelope import Event

MOST_RUNS = 20_000
_RUN = subjects.run("")
_TYPE = b'{"type":"'


def _tags(*kinds: type[Event]) -> frozenset[bytes]:
    return frozenset(str(kind.__struct_config__.tag).encode() for kind in kinds)


_GOES_ON = _tags(e.RunQueued, e.RunStarted, e.RunResumed)
_RESTS = _tags(e.RunSuspended, e.RunCompleted, e.RunFailed, e.RunCancelled, e.RunCrashed)


class UnderWay:
    """Those that are queued or executing and have said so since this was made."""

    def __init__(self) -> None:
        self._runs: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._runs)

    def note(self, subject: str, data: bytes) -> bool:
        """Whether the last of them has ended, or waits, with this message."""
        if not subject.startswith(_RUN) or not data.startswith(_TYPE):
            return False
        kind = data[len(_TYPE) : data.find(b'"', len(_TYPE))]
        if kind in _GOES_ON:
            if len(self._runs) >= MOST_RUNS:  # many that nobody executes
                self._runs.clear()
            self._runs.add(subject)
        elif kind in _RESTS and subject in self._runs:
            self._runs.remove(subject)
            return not self._runs
        return False
