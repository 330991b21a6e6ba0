"""When the run of an instant is due: some time after it, always the same, and before the next instant."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from perfect_runtime.occurrence import notes, zone
from perfect_runtime.occurrence.rule import after
from perfect_schemas.queries import ScheduledInstant
from perfect_schemas.schedule import ScheduleSpec


def due_at(spec: ScheduleSpec, schedule_id: str, instant: datetime, following: datetime | None) -> datetime:
    """following: the instant after it. The jitter is spread evenly over [0, jitter_ms), or over the time that is left
    before the next instant when that is less.
    """
    if not spec.jitter_ms:
        return instant
    room_ms = spec.jitter_ms
    if following is not None:
        room_ms = min(room_ms, (following - instant) // timedelta(milliseconds=1))
    if room_ms <= 0:
        return instant
    digest = hashlib.sha256(f"{schedule_id}\x1f{instant.astimezone(UTC).isoformat()}".encode()).digest()
    return instant + timedelta(milliseconds=int.from_bytes(digest[:8], "big") * room_ms >> 64)


def with_due(spec: ScheduleSpec, schedule_id: str, instant: datetime) -> Iterator[tuple[datetime, datetime]]:
    """(instant, when its run is due) of those after `instant`."""
    instants = after(spec, instant)
    if not spec.jitter_ms:
        yield from ((one, one) for one in instants)
        return
    before: datetime | None = None
    for one in instants:
        if before is not None:
            yield before, due_at(spec, schedule_id, before, one)
        before = one
    if before is not None:
        yield before, due_at(spec, schedule_id, before, None)


def preview(spec: ScheduleSpec, schedule_id: str, instant: datetime, count: int) -> list[ScheduledInstant]:
    """The first `count` after `instant`. schedule_id: empty for one that is not kept: then no jitter is known."""
    tz = zone.zone(spec.timezone)
    pairs = with_due(spec, schedule_id, instant) if schedule_id else ((a, a) for a in after(spec, instant))
    found: list[ScheduledInstant] = []
    before = instant
    for at, due in islice(pairs, count):
        said = notes.note(at, before, tz)
        found.append(ScheduledInstant(at=at, due_at=due, local=at.astimezone(tz).isoformat(), note=said))
        before = at
    return found
