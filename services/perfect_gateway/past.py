"""A run as it was: its events in order, and the fold of those up to one of them.

The bus has them while the run is on it; a run that has left it, or came back as one event, is read from the log.
"""

import asyncio

import msgspec

from perfect_gateway.folded import Seen, without_result
from perfect_gateway.parts import Parts
from perfect_gateway.runs import no_run
from perfect_schemas import codec, queries, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events.archive import RunRestored

EVENTS_A_PAGE = 10_000
MOST_EVENTS = 500_000


class Past(msgspec.Struct, frozen=True):
    """events: (EVENTS sequence, event) in stream order. through: nothing up to this sequence is missing."""

    run_id: str
    events: list[tuple[int, Event]]
    through: int

    def until(self, seq: int) -> Seen:
        """The run as it was when its events up to `seq` had happened: the same fold as of a live run."""
        history = Seen()
        for at, event in self.events:
            if at > seq:
                break
            history.apply(without_result(event), at)
        return history

    def place(self, seq: int) -> int:
        """The place of the last event up to `seq`; of the first one when it is older than all."""
        found = 0
        for place, (at, _) in enumerate(self.events):
            if at > seq:
                break
            found = place
        return found


class PastReader:
    """Keeps the last run that was asked for: who drags a slider asks for one run many times."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: Past | None = None

    async def read(self, run_id: str, through: int | None = None) -> Past:
        """through: the sequence up to which it must be complete; None: as of now. Raises NotFound."""
        kept = self._kept
        if kept is not None and kept.run_id == run_id and through is not None and through <= kept.through:
            return kept
        past = await self._of_bus(run_id) or await self._of_log(run_id)
        if not past.events:
            raise no_run(run_id)
        self._kept = past
        return past

    async def _of_bus(self, run_id: str) -> Past | None:
        said = await self._parts.bus.read_raw(subjects.run(run_id))
        if not said or isinstance(codec.decode(said[0][2]), RunRestored):
            return None
        through = said[-1][0]
        said += await self._parts.bus.read_raw(subjects.task(run_id))
        said.sort()
        found = await asyncio.to_thread(_decoded, [(seq, data) for seq, _, data in said])
        return Past(run_id, found, through)

    async def _of_log(self, run_id: str) -> Past:
        said: list[tuple[int, bytes]] = []
        cursor: str | None = None
        while True:
            asked = queries.EventPage(run_id=run_id, limit=EVENTS_A_PAGE, cursor=cursor)
            page, _ = await self._parts.asker.value("events", asked, queries.Events)
            said += [(one.seq, bytes(one.event)) for one in page.events]
            cursor = page.next
            if cursor is None or len(said) >= MOST_EVENTS:
                break
        found = await asyncio.to_thread(_decoded, said)
        return Past(run_id, found, found[-1][0] if found else 0)


def _decoded(said: list[tuple[int, bytes]]) -> list[tuple[int, Event]]:
    known = ((seq, codec.decode(data)) for seq, data in said)
    return [(seq, event) for seq, event in known if not isinstance(event, UnknownEvent)]
