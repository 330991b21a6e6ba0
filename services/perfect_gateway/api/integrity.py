"""Whether the read model holds together: the projector's report."""

from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, json, query
from perfect_schemas import queries


class IntegrityQuery(msgspec.Struct, frozen=True, kw_only=True):
    """sample: of how many of the newest runs, and as many others, the events are folded afresh; at most 2,000."""

    sample: int = 20


def routes(parts: Parts) -> list[Any]:
    @get("/api/integrity", opt={"query": IntegrityQuery, "answers": {200: queries.IntegrityReport}})
    async def integrity(request: AnyRequest) -> Response[bytes]:
        """Whether the history holds together: every check with what it means, what it counted and what offends."""
        asked = queries.Integrity(
            conduct=True, sample=max(query(request, IntegrityQuery).sample, 0), holes=True
        )
        return json(await parts.asker.integrity(asked))

    return [integrity]
