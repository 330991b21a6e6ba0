"""The read model's log of events: what was said of a run, whether or not it still stands on the bus."""

import msgspec

from perfect_bus import Bus
from perfect_schemas import codec, queries, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.history import History, fold

PAGE = 1000


async def logged_history(bus: Bus, run_id: str) -> History:
    """The fold of all events of the run; `.run` is None when the read model does not know it.

    Raises ServiceUnavailable when no projector answers.
    """
    try:
        return fold(await logged(bus, run_id))
    except NotFound:
        return History()


async def logged(bus: Bus, run_id: str) -> list[tuple[int, Event]]:
    """(sequence, event), ascending. Raises NotFound, ServiceUnavailable."""
    found: list[tuple[int, Event]] = []
    cursor: str | None = None
    while True:
        query = queries.EventPage(run_id=run_id, limit=PAGE, cursor=cursor)
        reply = await bus.ask(subjects.query("events"), query)
        page = msgspec.json.decode(reply.value, type=queries.Events)
        for one in page.events:
            event = codec.decode(one.event)
            if not isinstance(event, UnknownEvent):
                found.append((one.seq, event))
        cursor = page.next
        if cursor is None:
            return found
