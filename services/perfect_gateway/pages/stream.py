"""`GET /events`: the live fragments of one tab."""

from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.api.events import EVENT_STREAM, position_of, require_bus, streamed
from perfect_gateway.live import topics
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    topics: str = ""
    after: str | None = None


def routes(parts: Parts) -> list[Any]:
    @get("/events", media_type=EVENT_STREAM)
    async def stream(request: AnyRequest) -> Response[Any]:
        wanted = query(request, StreamQuery)
        listed = topics.parse(wanted.topics)
        since, unknown = position_of(request, wanted.after)
        require_bus(parts)
        frames = parts.hub.page(listed, since, unknown=unknown)
        return streamed(request, frames)

    return [stream]
