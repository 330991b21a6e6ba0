"""`GET /api/events`: every event as it happens, resumable by `Last-Event-ID`."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import msgspec
import structlog
from litestar import Response, get
from litestar.response import Stream

from perfect_gateway.delivery import STREAM
from perfect_gateway.live.position import Position
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_schemas.errors import BusUnavailable, FieldError, InvalidInput, NotFound, PerfectError
from perfect_schemas.ids import is_id

EVENT_STREAM = "text/event-stream"
WRITE_BYTES = 64 * 1024
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}

log = structlog.get_logger("perfect_gateway")


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """run_id: only this run's. after: a position, like Last-Event-ID, which wins. logs: whether log batches come too.
    definitions: whether what happens to flows and clients comes too (live only: positions do not count it).
    """

    run_id: str | None = None
    after: str | None = None
    logs: bool = True
    definitions: bool = True


def position_of(request: AnyRequest, after: str | None) -> tuple[Position | None, bool]:
    """Where the listener stands, and whether it said something that is no position."""
    text = request.headers.get("last-event-id") or after
    if not text:
        return None, False
    found = Position.parse(text)
    return found, found is None


async def written(frames: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    """In writes of a bounded size, for the server bounds what waits in it by their number. A stream that fails ends: whoever
    reads it comes back with its last id. So does one whose reader takes nothing (`Delivery`).
    """
    try:
        async with contextlib.aclosing(frames):
            async for joined in frames:
                for start in range(0, len(joined), WRITE_BYTES):
                    yield joined[start : start + WRITE_BYTES]
    except PerfectError as error:
        log.warning("a live stream ended", error=error.detail)


def streamed(request: AnyRequest, frames: AsyncGenerator[bytes]) -> Stream:
    """The answer that streams `frames`, which are closed when it ends, however it ends: by the outermost layer, for the
    framework leaves them to the garbage collector.
    """
    stream = written(frames)
    request.scope[STREAM] = stream  # type: ignore[literal-required]
    return Stream(stream, media_type=EVENT_STREAM, headers=HEADERS)


def require_bus(parts: Parts) -> None:
    """Raises BusUnavailable, while the status can still say so."""
    if parts.hub.closing or not parts.bus.nc.is_connected:
        raise BusUnavailable("NATS is not connected just now; try again in a moment")


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/events",
        media_type=EVENT_STREAM,
        opt={"query": EventQuery, "answers": {200: str}, "problems": (404,)},
    )
    async def events(request: AnyRequest) -> Response[Any]:
        """Server-sent events: each one an event as JSON, its id `<EVENTS sequence>.<LOGS sequence>`.

        Named ones are signals: `hello` (first), `ping` (after 15 s of silence), `resync` (some events are gone from the
        streams; what follows goes on after them). Resuming from an id goes on without a gap.
        """
        wanted = query(request, EventQuery)
        if wanted.run_id is not None and not is_id(wanted.run_id):
            raise NotFound(
                f"there is no run {wanted.run_id!r}: a run's id is a UUID in its dashed lower-case form"
            )
        since, unknown = position_of(request, wanted.after)
        if unknown:
            message = "is no position: it looks like 12.34, the id of an earlier message"
            raise InvalidInput(f"after (or Last-Event-ID) {message}", [FieldError("after", message)])
        require_bus(parts)
        frames = parts.hub.feed.read(
            since,
            run_id=wanted.run_id,
            logs=wanted.logs,
            definitions=wanted.definitions and wanted.run_id is None,
        )
        return streamed(request, frames)

    return [events]
