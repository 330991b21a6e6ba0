"""`/flows`: the library, a page at a time by name. All flows, or those that a text is found in: name, description, tags and
tasks.
"""

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get

from perfect_gateway.flow_cards import card
from perfect_gateway.pages.page import html, position
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_schemas import queries

A_PAGE = 50


class LibraryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """text: in any case. after: the name of the last flow of the page before."""

    text: Annotated[str, msgspec.Meta(max_length=200)] = ""
    after: str = ""


class _Sought(msgspec.Struct):
    """Of a flow, what a text is looked for in."""

    class Task(msgspec.Struct):
        name: str

    name: str
    description: str
    tags: list[str]
    tasks: list[Task]


_decode_sought = msgspec.json.Decoder(_Sought).decode


def is_found(text: str, flow: bytes) -> bool:
    """Whether each word of `text` stands in one of the places."""
    sought = _decode_sought(flow)
    places = [sought.name, sought.description, *sought.tags, *(task.name for task in sought.tasks)]
    where = "\n".join(places).casefold()
    return all(word in where for word in text.casefold().split())


def routes(parts: Parts) -> list[Any]:
    @get("/flows")
    async def library(request: AnyRequest) -> Response[bytes]:
        """`?text=`: the flows with each of these words in their name, description, tags or tasks. `?after=`: by name, those
        after that one.
        """
        wanted = query(request, LibraryQuery)
        text = wanted.text.strip()
        asked, as_of = await parts.asker.value("flows", queries.FlowList(), list[msgspec.Raw])
        known = [bytes(flow) for flow in asked]
        found = [flow for flow in known if is_found(text, flow)] if text else known
        named = sorted((_decode_sought(flow).name, flow) for flow in found)
        rest = [(name, flow) for name, flow in named if name > wanted.after]
        page = rest[:A_PAGE]
        following = urlencode({**({"text": text} if text else {}), "after": page[-1][0]}) if page else ""
        return html(
            "pages/flows.html",
            seq=position(as_of),
            cards=[card(flow) for _, flow in page],
            known=len(known),
            found=len(found),
            text=text,
            is_part=len(page) < len(known),
            first=not wanted.after,
            following=f"/flows?{following}" if len(rest) > A_PAGE else None,
            version=parts.version,
        )

    return [library]
