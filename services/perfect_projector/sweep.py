"""Large results that nobody names any more leave the object store.

A result kept by reference lives as long as any run that names it: the run that wrote it, whose id its name begins
with, a fork or a restored run that took it over, a parent that keeps it as its child's outcome. Where a run's rows go,
its objects go with the next sweep.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import NotFoundError, ObjectNotFoundError

from perfect_schemas import ids, subjects
from perfect_schemas.errors import BusUnavailable

if TYPE_CHECKING:
    from perfect_bus import Bus

YOUNG = timedelta(days=1)  # it is stored before the event that names it, and that one before the row
IDS_AT_ONCE = 5_000


class Object(NamedTuple):
    """run_id: of the run that stored it, and stored_at: as its name says, `<run id>/<UUIDv7>`."""

    name: str
    run_id: str
    stored_at: datetime


def object_of(name: str) -> Object | None:
    """None when it is not one of ours."""
    run_id, _, key = name.partition("/")
    if not (ids.is_id(run_id) and ids.is_id(key)):
        return None
    stored_at = ids.made_at(key)
    return None if stored_at is None else Object(name, run_id, stored_at)


def unnamed(objects: Iterable[Object], runs: set[str], named: set[str], now: datetime) -> list[str]:
    """The names of the objects that may go. runs: those that are kept. named: by a result that is kept. Pure."""
    return [
        one.name
        for one in objects
        if one.run_id not in runs and one.name not in named and now - one.stored_at >= YOUNG
    ]


async def sweep(bus: "Bus", query: Callable[..., Awaitable[list[tuple[Any, ...]]]], *, now: datetime) -> int:
    """Delete the objects that no kept run names. Returns how many. query(name, **values): rows of a statement.

    Raises BusUnavailable.
    """
    try:
        store = await bus.js.object_store(subjects.RESULTS)
        found = [object_of(info.name) for info in await store.list(ignore_deletes=True)]
    except NotFoundError:  # there has never been one, or there is none
        return 0
    except (NatsTimeout, NoRespondersError, TimeoutError) as error:
        raise BusUnavailable("the object store does not answer") from error
    old = [one for one in found if one is not None and now - one.stored_at >= YOUNG]
    owners = sorted({one.run_id for one in old})
    runs: set[str] = set()
    for start in range(0, len(owners), IDS_AT_ONCE):
        runs |= {
            run_id for (run_id,) in await query("purge.known", run_ids=owners[start : start + IDS_AT_ONCE])
        }
    if all(one.run_id in runs for one in old):
        return 0
    named = {name for (name,) in await query("purge.results")}
    gone = unnamed(old, runs, named, now)
    for name in gone:
        with contextlib.suppress(ObjectNotFoundError):
            await store.delete(name)
    return len(gone)
