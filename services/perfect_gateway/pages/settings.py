"""`/settings`: the settings in effect, what is kept for how long and how large it is, versions."""

import asyncio
from typing import Any

from litestar import Response, get

from perfect_gateway import system
from perfect_gateway.pages.page import html
from perfect_gateway.pages.schedules import now_seq
from perfect_gateway.parts import Parts


def routes(parts: Parts) -> list[Any]:
    @get("/settings")
    async def settings() -> Response[bytes]:
        known = parts.settings
        seq, sizes = await asyncio.gather(now_seq(parts), system.sizes(parts.bus, known))
        return html(
            "pages/settings.html",
            seq=seq,
            settings=system.effective(known),
            retention=system.retention(known),
            versions=system.versions(parts.bus),
            version=parts.version,
            **sizes,
        )

    return [settings]
