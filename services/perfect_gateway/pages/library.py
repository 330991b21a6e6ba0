"""`/flows`: the library. All flows, or those that a text is found in: name, description, tags and tasks."""

from functools import lru_cache
from typing import Annotated, Any

import msgspec
from litestar import Response, get

from perfect_gateway.live import fragments
from perfect_gateway.pages.page import html, position
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_schemas import queries
from perfect_schemas.views import FlowView

MOST_CARDS = 256  # some 10 KB each
_decode_flow = msgspec.json.Decoder(FlowView).decode


class LibraryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """text: in any case."""

    text: Annotated[str, msgspec.Meta(max_length=200)] = ""


class _Sought(msgspec.Struct):
    """Of a flow, what a text is looked for in."""

    class Task(msgspec.Struct):
        name: str

    name: str
    description: str
    tags: list[str]
    tasks: list[Task]


_decode_sought = msgspec.json.Decoder(_Sought).decode


@lru_cache(MOST_CARDS)
def card(flow: bytes) -> str:
    """Most flows are the same as when somebody looked last, and a page has many of them. flow: a FlowView as JSON."""
    return fragments.flow_card(_decode_flow(flow))


def is_found(text: str, flow: bytes) -> bool:
    """Whether each word of `text` stands in one of the places."""
    sought = _decode_sought(flow)
    places = [sought.name, sought.description, *sought.tags, *(task.name for task in sought.tasks)]
    where = "\n".join(places).casefold()
    return all(word in where for word in text.casefold().split())


def routes(parts: Parts) -> list[Any]:
    @get("/flows")
    async def library(request: AnyRequest) -> Response[bytes]:
        """`?text=`: the flows with each of these words in their name, description, tags or tasks."""
        text = query(request, LibraryQuery).text.strip()
        asked, as_of = await parts.asker.value("flows", queries.FlowList(), list[msgspec.Raw])
        known = [bytes(flow) for flow in asked]
        found = [flow for flow in known if is_found(text, flow)] if text else known
        return html(
            "pages/flows.html",
            seq=position(as_of),
            cards=[card(flow) for flow in found],
            known=len(known),
            text=text,
            version=parts.version,
        )

    return [library]
