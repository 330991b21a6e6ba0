"""A result as JSON rows, CSV, NDJSON or Parquet, up to as many rows and bytes as were asked for."""

import base64
import csv
import io
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import duckdb
import msgspec

from perfect_projector.sandbox.walls import STDOUT
from perfect_projector.sandbox.wire import Order, Verdict

ROWS_A_FETCH = 200
SHOWN_AS = {  # with a zone: UTC, since Python needs one more library for others
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIME WITH TIME ZONE": "VARCHAR",
    "TIMESTAMP_NS": "VARCHAR",
    "TIME_NS": "VARCHAR",
    "DATE": "VARCHAR",  # also infinite, or before Christ
    "INTERVAL": "VARCHAR",  # months have no fixed length
}
_QUOTED_OR_TYPE = re.compile(
    r""""(?:[^"]|"")*"|'(?:[^']|'')*'|\b(?:TIMESTAMP WITH TIME ZONE|TIME WITH TIME ZONE|\w+)\b(?! ["\w])"""
)

Row = tuple[Any, ...]


def readable(value: Any) -> Any:
    """For values that JSON has no form for. Times without a zone are UTC in this file, and say so."""
    if isinstance(value, timedelta):
        return interval(value)
    if isinstance(value, dict):  # a MAP whose keys are not text
        return {str(key): one for key, one in value.items()}
    return str(value)


def interval(value: timedelta) -> str:
    """`2 days 03:04:05.006`, as DuckDB writes it."""
    sign, value = ("-", -value) if value < timedelta(0) else ("", value)
    seconds = value.seconds
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if value.microseconds:
        clock += f".{value.microseconds:06d}".rstrip("0")
    days = f"{value.days} day{'s' if value.days != 1 else ''}" if value.days else ""
    if days and clock == "00:00:00":
        return sign + days
    return f"{sign}{days} {clock}" if days else sign + clock


def infinite(value: datetime) -> str | None:
    """DuckDB's `infinity` comes as the first or last instant that Python knows."""
    plain = value.replace(tzinfo=None)
    return "infinity" if plain == datetime.max else "-infinity" if plain == datetime.min else None  # noqa: DTZ901


_encode = msgspec.json.Encoder(enc_hook=readable, decimal_format="number").encode


def plain(value: Any) -> Any:
    """What msgspec would write in another way than people expect, at any depth."""
    if isinstance(value, datetime):
        return infinite(value) or (value.replace(tzinfo=UTC) if value.tzinfo is None else value)
    if isinstance(value, timedelta):
        return interval(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value


class Body:
    """Writes at most `max_bytes` to `out`; `room` says whether so many more fit."""

    def __init__(self, out: Any, max_bytes: int) -> None:
        self._out = out
        self._left = max_bytes

    def room(self, size: int) -> bool:
        return size <= self._left

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        self._out.write(data)


def written(connection: duckdb.DuckDBPyConnection, order: Order, out: Any) -> Verdict:
    """Run the statement, write the body. Raises what DuckDB raises."""
    if order.format == "parquet":
        return _parquet(connection, order)
    columns, types = _columns(connection, order)
    connection.execute(_statement(order, types), order.parameters)
    names = unique(columns)
    write_row = _FORMATS[order.format](Body(out, order.max_bytes), names)
    count = 0
    truncated = False
    for row in _rows(connection):
        if count == order.max_rows or not write_row(row):
            truncated = True
            break
        count += 1
    if order.format == "json":
        out.write(b"]")
    out.flush()
    return Verdict(outcome="done", columns=columns, types=types, row_count=count, truncated=truncated)


def unique(names: list[str]) -> list[str]:
    """`id, id` → `id, id_1`: where a name is a key."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        again = seen.get(name, 0)
        seen[name] = again + 1
        found.append(f"{name}_{again}" if again else name)
    return found


def bare(query: str) -> str:
    """The one statement without the semicolons and comments that end it, to stand in brackets."""
    query = duckdb.extract_statements(query)[0].query
    data = query.encode()
    end = len(data)
    for place, kind in reversed(duckdb.tokenize(query)):  # places are in bytes
        if kind != duckdb.token_type.comment and data[place : place + 1] != b";":
            break
        end = place
    return data[:end].decode()


def _columns(connection: duckdb.DuckDBPyConnection, order: Order) -> tuple[list[str], list[str]]:
    """Names and types, without running what may take long."""
    statement = duckdb.extract_statements(order.query)[0]
    if statement.type == duckdb.StatementType.SELECT:
        rows = connection.execute(f"DESCRIBE (\n{bare(order.query)}\n)", order.parameters).fetchall()
        return [row[0] for row in rows], [row[1] for row in rows]
    connection.execute(order.query, order.parameters)
    description = connection.description or []
    return [column[0] for column in description], [str(column[1]) for column in description]


def _statement(order: Order, types: list[str]) -> str:
    """Values that Python has no exact form for are taken as another type: see `SHOWN_AS`."""
    shown = [_shown_as(kind) for kind in types]
    if shown == types:
        return order.query
    values = ", ".join(
        f"#{n}" if kind == before else f"#{n}::{kind}"
        for n, (kind, before) in enumerate(zip(shown, types, strict=True), 1)
    )
    return f"SELECT {values} FROM (\n{bare(order.query)}\n)"  # noqa: S608


def _shown_as(kind: str) -> str:
    """At any depth. What stands in quotes, or before a type, is a name of a field or a value of an ENUM."""
    return _QUOTED_OR_TYPE.sub(lambda found: SHOWN_AS.get(found[0], found[0]), kind)


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    while rows := connection.fetchmany(ROWS_A_FETCH):
        yield from rows


def _json(body: Body, _: list[str]) -> Callable[[Row], bool]:
    body.write(b"[")
    first = True

    def write(row: Row) -> bool:
        nonlocal first
        data = _encode([plain(value) for value in row])
        if not body.room(len(data) + 2):
            return False
        body.write(data if first else b"," + data)
        first = False
        return True

    return write


def _ndjson(body: Body, names: list[str]) -> Callable[[Row], bool]:
    def write(row: Row) -> bool:
        data = _encode({name: plain(value) for name, value in zip(names, row, strict=True)}) + b"\n"
        if not body.room(len(data)):
            return False
        body.write(data)
        return True

    return write


def _csv(body: Body, names: list[str]) -> Callable[[Row], bool]:
    def line(cells: Any) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode(errors="replace")

    def cell(value: Any) -> Any:
        if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
            return value
        if isinstance(value, datetime):
            return infinite(value) or value.isoformat(" ")
        if isinstance(value, timedelta):
            return interval(value)
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, list | tuple | dict | bool):
            return _encode(plain(value)).decode()
        return value.isoformat() if isinstance(value, time) else str(value)

    body.write(line(names))

    def write(row: Row) -> bool:
        data = line(cell(value) for value in row)
        if not body.room(len(data)):
            return False
        body.write(data)
        return True

    return write


_FORMATS: dict[str, Callable[[Body, list[str]], Callable[[Row], bool]]] = {
    "json": _json,
    "ndjson": _ndjson,
    "csv": _csv,
}


def _parquet(connection: duckdb.DuckDBPyConnection, order: Order) -> Verdict:
    """By DuckDB, with its own types, from a temporary table in memory."""
    connection.execute(
        f"CREATE TEMP TABLE perfect_result AS SELECT * FROM (\n{bare(order.query)}\n) LIMIT {order.max_rows + 1}",  # noqa: S608
        order.parameters,
    )
    columns = connection.execute("DESCRIBE perfect_result").fetchall()
    (found,) = connection.execute("SELECT count(*) FROM perfect_result").fetchone() or (0,)
    sys.stdout.flush()
    connection.execute(
        f"COPY (FROM perfect_result LIMIT {order.max_rows}) TO '{STDOUT}' (FORMAT parquet, COMPRESSION zstd)"
    )
    return Verdict(
        outcome="done",
        columns=[row[0] for row in columns],
        types=[row[1] for row in columns],
        row_count=min(found, order.max_rows),
        truncated=found > order.max_rows,
    )
