"""All lines of a run, or those that a filter keeps, as a file: read page by page, so that a million take no more memory
than a thousand.
"""

from collections.abc import AsyncGenerator, Callable
from datetime import UTC
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.response import Stream

from perfect_gateway.delivery import STREAM
from perfect_gateway.log_filter import LogFilter
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query, run_id
from perfect_schemas import queries
from perfect_schemas.views import LogView
from perfect_ui.ansi import plain

LINES_A_PAGE = 5000
Format = Literal["text", "ndjson"]
KINDS = {"text": "text/plain", "ndjson": "application/x-ndjson"}
ENDINGS = {"text": "log", "ndjson": "ndjson"}
FORMS = {
    "text/plain": "A line each: when, level, where it comes from, the message without its colours.",
    "application/x-ndjson": "A JSON object each, as `GET /api/engine/runs/{run_id}/logs` answers them.",
}
_encode = msgspec.json.Encoder().encode


class DownloadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """format: lines of text, or of JSON. level: the lowest one, as a name or Python's number. text: that the line has in it,
    upper and lower case alike. task: only lines of the task run with that key, or of all of a task by the key without its
    number.
    """

    format: Format = "text"
    level: str | None = None
    text: str | None = None
    task: str | None = None


def as_text(line: LogView) -> bytes:
    """What is on several lines stays on them."""
    at = line.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{at} {line.level:<8} {line.task_key or line.logger}: {plain(line.message)}\n".encode()


def as_json(line: LogView) -> bytes:
    return _encode(line) + b"\n"


WRITERS: dict[Format, Callable[[LogView], bytes]] = {"text": as_text, "ndjson": as_json}


async def _pages(
    parts: Parts, first: queries.Logs, asked: queries.LogPage, write: Callable[[LogView], bytes]
) -> AsyncGenerator[bytes]:
    """A failure half-way breaks the answer off, so that nobody takes a part for the whole."""
    found = first
    while True:
        if found.logs:
            yield b"".join(map(write, found.logs))
        if found.next is None:
            return
        following = msgspec.structs.replace(asked, cursor=found.next)
        found, _ = await parts.asker.value("logs", following, queries.Logs)


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/engine/runs/{run_id:str}/logs/download",
        opt={"query": DownloadQuery, "answers": {200: None}, "kinds": FORMS},
    )
    async def download(request: AnyRequest) -> Response[Any]:
        """The run's log lines as a file, all of them or those asked for, in the order written."""
        wanted, wanted_id = query(request, DownloadQuery), run_id(request)
        kept = LogFilter.of(wanted.level, wanted.text, wanted.task)
        asked = queries.LogPage(run_id=wanted_id, limit=LINES_A_PAGE, **kept.asked)
        first = msgspec.json.decode(
            (await parts.asker.of_run("logs", asked, wanted_id)).value, type=queries.Logs
        )
        pages = _pages(parts, first, asked, WRITERS[wanted.format])
        request.scope[STREAM] = pages  # type: ignore[literal-required]
        name = f"run-{wanted_id[-8:]}{'-filtered' if kept.fields else ''}.{ENDINGS[wanted.format]}"
        return Stream(
            pages,
            media_type=KINDS[wanted.format],
            headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
        )

    return [download]
