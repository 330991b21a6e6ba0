"""SQL of people, over a snapshot: a query and its answer as JSON, CSV, NDJSON or Parquet; what can be queried."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, delete, get, post, put

from perfect_gateway.parts import Parts
from perfect_gateway.watched import while_connected
from perfect_gateway.wire import AnyRequest, body, json
from perfect_schemas import commands, queries
from perfect_schemas.commands import SavedQuery

Format = Literal["json", "csv", "ndjson", "parquet"]

KINDS: dict[str, str] = {
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
FORMS: dict[str, str] = {
    "text/csv": "The rows, with a line of the columns' names first.",
    "application/x-ndjson": "A row a line, each an object.",
    "application/vnd.apache.parquet": "The rows as a Parquet file.",
}
ROWS = 1000
FILE_ROWS = 1_000_000
BY = "api"


class SqlBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """parameters: for `$1` (a list) or `$name` (an object) in the query. max_rows: by default 1,000 as JSON and
    1,000,000 as a file, at most 10,000 and 1,000,000. format: instead of the Accept header.
    """

    query: Annotated[str, msgspec.Meta(min_length=1)]
    parameters: list[Any] | dict[str, Any] = []
    max_rows: Annotated[int, msgspec.Meta(ge=1)] | None = None
    format: Format | None = None


class QueryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """text: the SQL."""

    text: str


class SqlAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """types: DuckDB's names, one a column. truncated: there are more rows than are here. snapshot_at: what was written
    before is in it. elapsed_ms: of the statement alone.
    """

    columns: list[str]
    types: list[str]
    rows: msgspec.Raw
    row_count: int
    truncated: bool
    elapsed_ms: float
    snapshot_at: datetime


def accepted(header: str) -> Format:
    """The format that an Accept header names first; JSON where it names none of ours."""
    names: dict[str, Format] = {
        "application/json": "json",
        "text/csv": "csv",
        "application/x-ndjson": "ndjson",
        "application/vnd.apache.parquet": "parquet",
    }
    for part in header.split(","):
        if (name := part.partition(";")[0].strip().lower()) in names:
            return names[name]
    return "json"


async def result(
    parts: Parts, request: AnyRequest, query: str, parameters: Any, wanted: Format, max_rows: int | None
) -> queries.SqlResult:
    """Raises what `queries.Sql` says. The query ends with the client's connection: ClientGone."""
    rows = max_rows or (ROWS if wanted == "json" else FILE_ROWS)
    asked = queries.Sql(query=query, parameters=parameters, format=wanted, max_rows=rows)
    return await while_connected(request, parts.asker.sql(asked))


def answer_of(found: queries.SqlResult) -> SqlAnswer:
    return SqlAnswer(
        columns=found.columns,
        types=found.types,
        rows=found.rows,
        row_count=found.row_count,
        truncated=found.truncated,
        elapsed_ms=found.elapsed_ms,
        snapshot_at=found.snapshot_at,
    )


def file_answer(found: queries.SqlResult, wanted: Format) -> Response[bytes]:
    """A download, with what JSON would say beside the rows in headers."""
    return Response(
        found.body,
        media_type=KINDS[wanted],
        headers={
            "content-disposition": f'attachment; filename="result.{wanted}"',
            "perfect-rows": str(found.row_count),
            "perfect-truncated": "true" if found.truncated else "false",
            "perfect-elapsed-ms": f"{found.elapsed_ms:g}",
            "perfect-snapshot-at": found.snapshot_at.isoformat(),
        },
    )


async def saved(parts: Parts) -> list[SavedQuery]:
    return await parts.asker.command("registry", "queries", commands.ShowQueries(), list[SavedQuery])


async def save(parts: Parts, name: str, text: str) -> None:
    """Raises InvalidInput."""
    command = commands.SaveQuery(name=name.strip(), text=text, by=BY)
    await parts.asker.command("registry", "save_query", command, commands.Done)


async def forget(parts: Parts, name: str) -> None:
    """Raises NotFound."""
    command = commands.RemoveQuery(name=name, by=BY)
    await parts.asker.command("registry", "remove_query", command, commands.Done)


def name_of(request: AnyRequest) -> str:
    return str(request.path_params["name"]).removeprefix("/")


def routes(parts: Parts) -> list[Any]:
    @post(
        "/api/sql",
        status_code=200,
        opt={"body": SqlBody, "answers": {200: SqlAnswer}, "problems": (429,), "kinds": FORMS},
    )
    async def sql(request: AnyRequest) -> Response[bytes]:
        """Run one statement that reads, over a snapshot that is seconds old: 400 when it is wrong SQL, 422 when it
        needs more time, memory or bytes than the limits allow, 429 when too many ask.
        """
        asked = await body(request, SqlBody)
        wanted = asked.format or accepted(request.headers.get("accept", ""))
        found = await result(parts, request, asked.query, asked.parameters, wanted, asked.max_rows)
        if wanted != "json":
            return file_answer(found, wanted)
        return json(answer_of(found))

    @get("/api/sql/schema", opt={"answers": {200: list[queries.SqlTable]}, "problems": (429,)})
    async def schema() -> Response[bytes]:
        """The views and tables that can be queried, with their columns and what they mean."""
        return json((await parts.asker.snapshot()).tables)

    @post(
        "/api/sql/snapshot", status_code=200, opt={"answers": {200: queries.SqlSnapshot}, "problems": (429,)}
    )
    async def snapshot() -> Response[bytes]:
        """Make a snapshot unless the last one is as of now, and say where it is on the projector's host."""
        return json(await parts.asker.snapshot())

    @get("/api/sql/queries", opt={"answers": {200: list[SavedQuery]}})
    async def saved_queries() -> Response[bytes]:
        """The queries that people have saved."""
        return json(await saved(parts))

    @put("/api/sql/queries/{name:path}", status_code=204, opt={"body": QueryBody, "answers": {204: None}})
    async def save_query(request: AnyRequest) -> None:
        """Keep a query under a name; what the name had before is replaced."""
        await save(parts, name_of(request), (await body(request, QueryBody)).text)

    @delete("/api/sql/queries/{name:path}", status_code=204, opt={"answers": {204: None}})
    async def remove_query(request: AnyRequest) -> None:
        """Forget a saved query."""
        await forget(parts, name_of(request))

    return [sql, schema, snapshot, saved_queries, save_query, remove_query]
