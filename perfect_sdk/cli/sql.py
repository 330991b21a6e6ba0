"""`perfect sql "SELECT …"`: a query over a snapshot of the read model."""

import argparse
import json
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from perfect_sdk.cli.exits import FAILED, OK, USAGE, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_columns, print_json
from perfect_sdk.cli.parameters import add_system, parse_parameters

WIDEST = 80
NARROWEST = 8
GAP = 2  # between columns
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sql",
        help="query every run, task, log line and event with SQL",
        description="Query every run, task, log line and event with DuckDB's SQL. It reads a snapshot that is seconds "
        'old; `perfect sql --schema` lists the views and tables, for example: perfect sql "FROM v_daily".',
    )
    parser.add_argument(
        "query", nargs="?", metavar="QUERY", help="one statement; without it, standard input is read"
    )
    parser.add_argument(
        "-p", "--param", dest="parameters", action="append", default=[], metavar="NAME=VALUE",
        help="a value for $NAME in the query; VALUE is read as JSON where it is JSON, as text otherwise",
    )  # fmt: skip
    parser.add_argument(
        "--format", choices=("table", "csv", "json", "ndjson", "parquet"), help="default: table"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to FILE; its ending says the format"
    )
    parser.add_argument(
        "--max-rows", type=int, metavar="N", help="at most N rows (default 1000, in files 1000000)"
    )
    parser.add_argument("--schema", action="store_true", help="list what can be queried, and what it means")
    add_system(parser)
    parser.set_defaults(run=sql)


def sql(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    if arguments.schema:
        return _schema(gateway, as_json=arguments.json)
    kind = _format(arguments)
    body = {"query": _query(arguments), "parameters": parse_parameters(arguments.parameters) or []}
    if arguments.max_rows is not None:
        body["max_rows"] = arguments.max_rows
    if kind in ("csv", "ndjson", "parquet"):
        data, headers = gateway.download("/api/sql", {**body, "format": kind})
        _write(arguments.output, data)
        _say_truncated(
            int(headers.get("perfect-rows", 0)), truncated=headers.get("perfect-truncated") == "true"
        )
        return OK
    data, _ = gateway.download("/api/sql", body)
    found = json.loads(data, parse_float=Decimal)
    if kind == "json":
        _write(arguments.output, data + b"\n")  # as it came: to the last digit
    else:
        _table(found, _room())
    _say_truncated(found["row_count"], truncated=found["truncated"])
    return OK


def _query(arguments: argparse.Namespace) -> str:
    if arguments.query is None and sys.stdin.isatty():
        raise Exit(USAGE, 'which query? perfect sql "FROM v_runs", or the query on standard input')
    query = arguments.query if arguments.query is not None else sys.stdin.read()
    if not query.strip():
        raise Exit(USAGE, "the query is empty")
    return query


def _format(arguments: argparse.Namespace) -> str:
    """--json and --format, else the ending of the file, else a table."""
    if arguments.json:
        return "json"
    if arguments.format is not None:
        if arguments.format == "table" and arguments.output is not None:
            raise Exit(
                USAGE, "a table is for reading: give -o a file with --format csv, json, ndjson or parquet"
            )
        if arguments.format == "parquet" and arguments.output is None and sys.stdout.isatty():
            raise Exit(USAGE, "Parquet is not for reading: give it a file with -o FILE")
        return arguments.format
    if arguments.output is None:
        return "table"
    ending = arguments.output.suffix.lower().removeprefix(".")
    if ending not in ("csv", "json", "ndjson", "parquet"):
        raise Exit(USAGE, f"{arguments.output}: say the format with --format csv, json, ndjson or parquet")
    return ending


def _write(file: Path | None, data: bytes) -> None:
    if file is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Exit(FAILED, f"{file} cannot be written: {error.strerror}") from None


def _say_truncated(rows: int, *, truncated: bool) -> None:
    if truncated:
        print(
            f"perfect: only the first {rows:,} rows are shown; there are more (--max-rows)", file=sys.stderr
        )


def _room() -> int | None:
    """Columns of the terminal; None when nobody looks at one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _table(found: dict[str, Any], room: int | None) -> None:
    """In `room` columns: long texts are cut; where even that is too wide, each row is a block of lines."""
    numeric = [is_number(kind) for kind in found["types"]]
    head = found["columns"]
    rows = [
        [_cell(value, kind) for value, kind in zip(row, found["types"], strict=True)] for row in found["rows"]
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    if room is not None and rows:
        fitting = fitted(widths, numeric, room)
        if fitting is None:
            _blocks(head, rows, room)
            return
        widths = fitting
    cells = [
        [
            cell.rjust(width) if is_numeric else _cut(cell, width)
            for cell, width, is_numeric in zip(row, widths, numeric, strict=True)
        ]
        for row in [head, *rows]
    ]
    print_columns(cells[0], cells[1:], empty="no rows")


def fitted(widths: list[int], numeric: list[bool], room: int) -> list[int] | None:
    """The widths in `room` columns, the widest texts made narrower; None when that does not do. Numbers are never cut."""
    free = (
        room
        - GAP * (len(widths) - 1)
        - sum(width for width, fixed in zip(widths, numeric, strict=True) if fixed)
    )
    texts = sorted(width for width, fixed in zip(widths, numeric, strict=True) if not fixed)
    most = WIDEST
    for n, width in enumerate(texts):  # the narrow ones take what they need, the others share the rest
        share = free // (len(texts) - n)
        if width > share:
            most = min(most, share)
            break
        free -= width
    if free < 0 or most < NARROWEST:
        return None
    return [width if fixed else min(width, most) for width, fixed in zip(widths, numeric, strict=True)]


def _blocks(head: list[str], rows: list[list[str]], room: int) -> None:
    width = max(map(len, head))
    for n, row in enumerate(rows, 1):
        print(f"-- row {n}")
        for name, cell in zip(head, row, strict=True):
            print(f"{name.ljust(width)}  {_cut(cell, max(room - width - GAP, NARROWEST))}".rstrip())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def is_number(kind: str) -> bool:
    """Of DuckDB's types: those that stand on the right."""
    name = kind.partition("(")[0]
    return not kind.endswith("]") and name.removeprefix("U") in _NUMBERS


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | list | dict):
        text = json.dumps(value, ensure_ascii=False, default=float)
    elif isinstance(value, Decimal) and not kind.startswith("DECIMAL"):
        text = f"{value:g}" if abs(value) >= 10**15 else f"{value:.15g}"
    else:
        text = str(value)
    return _cut("".join(char if char.isprintable() else " " for char in text), WIDEST)


def _schema(gateway: Gateway, *, as_json: bool) -> int:
    tables = gateway.get("/api/sql/schema")
    if as_json:
        print_json(tables)
        return OK
    for table in tables:
        print(f"{table['name']}  {table['comment']}".rstrip())
        width = max((len(column["name"]) for column in table["columns"]), default=0)
        for column in table["columns"]:
            print(f"  {column['name'].ljust(width)}  {column['type']}  {column['comment']}".rstrip())
    return OK
