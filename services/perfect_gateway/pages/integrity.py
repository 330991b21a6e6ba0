"""`/integrity`: the proofs that the history holds together, with their evidence."""

from typing import Any

from litestar import Response, get

from perfect_gateway import shapes
from perfect_gateway.pages.page import html
from perfect_gateway.parts import Parts
from perfect_schemas import queries

SAMPLE = 20


def routes(parts: Parts) -> list[Any]:
    @get("/integrity")
    async def integrity() -> Response[bytes]:
        asked = queries.Integrity(conduct=True, sample=SAMPLE, holes=True)
        report = await parts.asker.integrity(asked)
        return html("pages/integrity.html", report=shapes.plain(report), version=parts.version)

    return [integrity]
