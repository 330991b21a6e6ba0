"""Log lines of a run: read them, write them."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post

from perfect_bus.append import check_size
from perfect_gateway.log_filter import level_number
from perfect_gateway.parts import Parts
from perfect_gateway.runs import require
from perfect_gateway.wire import AnyRequest, aware, body, json, page, query, run_id
from perfect_schemas import codec, ids, queries, subjects
from perfect_schemas.errors import FieldError, InvalidInput, NotFound
from perfect_schemas.events.log import LogBatch, LogLine
from perfect_schemas.views import LogView

LINES_A_BATCH = 1000
STORE_S = 10.0


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """level: the lowest one shown, as a name or Python's number. text: that the line has in it, upper and lower case
    alike. task_run_id: only this task run's lines. task: only lines of the task run with that key, or of all of a task by
    the key without its number. tail: the last lines instead of the first.
    """

    level: str | None = None
    text: str | None = None
    task_run_id: str | None = None
    task: str | None = None
    tail: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    cursor: str | None = None


class LineBody(msgspec.Struct, frozen=True, kw_only=True):
    message: str
    level: str | int = 20
    logger: str = "api"
    at: datetime | None = None
    task_run_id: str | None = None


class LogBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either `log`, one line, or `logs`, several; a line is its text or an object. level: of lines without their own."""

    log: str | LineBody | None = None
    logs: list[str | LineBody] | None = None
    level: str | int = 20


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """lines: how many were stored."""

    run_id: str
    lines: int


class _Page(msgspec.Struct):
    logs: msgspec.Raw
    next: str | None = None


_decode_page = msgspec.json.Decoder(_Page).decode


def lines_of(wanted: LogBody, now: datetime) -> list[LogLine]:
    """Raises InvalidInput when there are none."""
    given = ([wanted.log] if wanted.log is not None else []) + (wanted.logs or [])
    if not given:
        message = 'is required: {"log": "text"} or {"logs": ["text", …]}'
        raise InvalidInput(f"log {message}", [FieldError("log", message)])
    lines = []
    for line in given:
        own = line if isinstance(line, LineBody) else LineBody(message=line, level=wanted.level)
        lines.append(
            LogLine(
                at=aware(own.at) or now,
                level=level_number(own.level),
                message=own.message,
                logger=own.logger,
                task_run_id=own.task_run_id,
            )
        )
    return lines


async def write(parts: Parts, run: str, lines: list[LogLine]) -> None:
    """Returns when they are stored. Raises TooLarge, BusUnavailable."""
    subject = subjects.log(run)
    for start in range(0, len(lines), LINES_A_BATCH):
        batch = LogBatch(
            id=ids.uuid7(),
            at=parts.clock(),
            source="api",
            run_id=run,
            lines=lines[start : start + LINES_A_BATCH],
        )
        data = codec.encode(batch)
        check_size(subject, data)
        await parts.bus.outbox.send(subject, data, batch.id, deadline_s=STORE_S)


def routes(parts: Parts) -> list[Any]:
    @get("/api/engine/runs/{run_id:str}/logs", opt={"query": LogQuery, "answers": {200: list[LogView]}})
    async def logs(request: AnyRequest) -> Response[bytes]:
        """The run's log lines in the order written."""
        wanted, wanted_id = query(request, LogQuery), run_id(request)
        level = level_number(wanted.level) if wanted.level is not None else 0
        if wanted.task_run_id is not None and not ids.is_id(wanted.task_run_id):
            raise NotFound(f"there is no task run {wanted.task_run_id!r}: a task run's id is a UUID")
        asked = queries.LogPage(
            run_id=wanted_id,
            limit=wanted.limit,
            cursor=wanted.cursor,
            level=level,
            text=wanted.text,
            task_run_id=wanted.task_run_id,
            task=wanted.task,
            tail=wanted.tail,
        )
        reply = await parts.asker.of_run("logs", asked, wanted_id)
        found = _decode_page(reply.value)
        return page(request, bytes(found.logs), found.next)

    @post(
        ["/api/engine/runs/{run_id:str}/logs", "/api/flows/{run_id:str}/logs"],
        status_code=202,
        opt={"body": LogBody, "answers": {202: Accepted}},
    )
    async def append(request: AnyRequest) -> Response[bytes]:
        """Add lines to the run's log."""
        wanted_id = run_id(request)
        lines = lines_of(await body(request, LogBody), parts.clock())
        await require(parts, wanted_id)
        await write(parts, wanted_id, lines)
        return json(Accepted(run_id=wanted_id, lines=len(lines)), status=202)

    return [logs, append]
