"""SQL queries that people keep: what may be kept, and the fold. Pure."""

from collections.abc import Sequence
from datetime import datetime

from perfect_schemas.commands import RemoveQuery, SavedQuery, SaveQuery
from perfect_schemas.envelope import Event
from perfect_schemas.errors import FieldError, NotFound, refuse
from perfect_schemas.events.saved_query import QueryRemoved, QuerySaved

SOURCE = "registry"
NAME_LENGTH = 100
TEXT_LENGTH = 50_000


def evolve(state: SavedQuery | None, event: Event, _: int) -> SavedQuery | None:
    if isinstance(event, QuerySaved):
        return SavedQuery(name=event.name, text=event.text, saved_at=event.at, by=event.by)
    return None if isinstance(event, QueryRemoved) else state


def save(
    kept: SavedQuery | None, command: SaveQuery, *, event_id: str, now: datetime
) -> Sequence[QuerySaved]:
    """Nothing when it is kept like this already. Raises InvalidInput."""
    check(command)
    if kept is not None and kept.text == command.text:
        return ()
    return (
        QuerySaved(id=event_id, at=now, source=SOURCE, name=command.name, text=command.text, by=command.by),
    )


def remove(
    kept: SavedQuery | None, command: RemoveQuery, *, event_id: str, now: datetime
) -> Sequence[QueryRemoved]:
    """Raises NotFound."""
    if kept is None:
        raise NotFound(f"there is no saved query {command.name!r}")
    return (QueryRemoved(id=event_id, at=now, source=SOURCE, name=command.name, by=command.by),)


def check(command: SaveQuery) -> None:
    errors = []
    if not command.name.strip() or len(command.name) > NAME_LENGTH or not command.name.isprintable():
        errors.append(FieldError("name", f"must be 1 to {NAME_LENGTH} printable characters"))
    if not command.text.strip() or len(command.text) > TEXT_LENGTH:
        errors.append(FieldError("text", f"must be SQL of at most {TEXT_LENGTH:,} characters"))
    refuse("the query cannot be saved", errors)
