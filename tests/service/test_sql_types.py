"""Every type of DuckDB through the process of a query, as JSON, CSV and Parquet."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from perfect_projector.duck import Duck
from perfect_projector.sandbox import process
from perfect_projector.sandbox.schema import complete
from perfect_projector.sandbox.wire import Order, Verdict

VALUES: dict[str, tuple[str, Any, str]] = {  # SQL, in JSON, in CSV
    "null": ("NULL", None, ""),
    "boolean": ("true", True, "true"),
    "tinyint": ("(-1)::TINYINT", -1, "-1"),
    "bigint": ("9223372036854775807::BIGINT", 2**63 - 1, "9223372036854775807"),
    "ubigint": ("18446744073709551615::UBIGINT", 2**64 - 1, "18446744073709551615"),
    "hugeint": ("170141183460469231731687303715884105727::HUGEINT", 2**127 - 1, str(2**127 - 1)),
    "uhugeint": ("340282366920938463463374607431768211455::UHUGEINT", 2**128 - 1, str(2**128 - 1)),
    "bignum": (f"'{10**50}'::BIGNUM", str(10**50), str(10**50)),
    "float": ("1.5::FLOAT", 1.5, "1.5"),
    "nan": ("'nan'::DOUBLE", None, "nan"),
    "infinite": ("'-inf'::DOUBLE", None, "-inf"),
    "decimal": ("12345678901234567890.123456789::DECIMAL(38, 9)", "12345678901234567890.123456789", "12345678901234567890.123456789"),
    "small_decimal": ("(-0.10)::DECIMAL(9, 2)", "-0.10", "-0.10"),
    "varchar": ("'a\"b' || chr(10) || 'ü😀,'", 'a"b\nü😀,', 'a"b\nü😀,'),
    "blob": (r"'\xAA\x00'::BLOB", "qgA=", "qgA="),
    "bit": ("'0101'::BIT", "0101", "0101"),
    "uuid": ("'0191a000-0000-7000-8000-000000000001'::UUID", *["0191a000-0000-7000-8000-000000000001"] * 2),
    "enum": ("'x'::ENUM ('x', 'DATE')", "x", "x"),
    "date": ("DATE '2026-01-02'", "2026-01-02", "2026-01-02"),
    "date_infinite": ("'infinity'::DATE", "infinity", "infinity"),
    "date_before_christ": ("'4000-01-01 (BC)'::DATE", "4000-01-01 (BC)", "4000-01-01 (BC)"),
    "time": ("TIME '03:04:05.006'", "03:04:05.006000", "03:04:05.006000"),
    "timetz": ("'03:04:05+02'::TIMETZ", "03:04:05+02", "03:04:05+02"),
    "time_ns": ("'03:04:05.000000001'::TIME_NS", *["03:04:05.000000001"] * 2),
    "timestamp": ("TIMESTAMP '2026-01-02 03:04:05.6'", "2026-01-02T03:04:05.600000Z", "2026-01-02 03:04:05.600000"),
    "timestamp_s": ("'2026-01-02 03:04:05'::TIMESTAMP_S", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05"),
    "timestamp_ms": ("'2026-01-02 03:04:05.1'::TIMESTAMP_MS", "2026-01-02T03:04:05.100000Z", "2026-01-02 03:04:05.100000"),
    "timestamp_ns": ("'2026-01-02 03:04:05.123456789'::TIMESTAMP_NS", *["2026-01-02 03:04:05.123456789"] * 2),
    "timestamptz": ("'2026-01-02 03:04:05+02'::TIMESTAMPTZ", "2026-01-02T01:04:05Z", "2026-01-02 01:04:05"),
    "timestamp_infinite": ("'infinity'::TIMESTAMP", "infinity", "infinity"),
    "timestamptz_infinite": ("'-infinity'::TIMESTAMPTZ", "-infinity", "-infinity"),
    "timestamp_far": ("'290000-01-01'::TIMESTAMP", "290000-01-01 00:00:00", "290000-01-01 00:00:00"),
    "interval": ("INTERVAL '1 year 2 months 3 days 04:05:06.007'", *["1 year 2 months 3 days 04:05:06.007"] * 2),
    "interval_negative": ("INTERVAL '-90 minutes'", "-01:30:00", "-01:30:00"),
    "list": ("[1, NULL, 3]", [1, None, 3], "[1,null,3]"),
    "list_of_zoned": ("['2026-01-02 03:04:05+02'::TIMESTAMPTZ]", ["2026-01-02T01:04:05Z"], '["2026-01-02T01:04:05Z"]'),
    "array": ("[1, 2]::INTEGER[2]", [1, 2], "[1,2]"),
    "struct": ("{'a': 1, 'b': {'c': NULL, 'd': DATE '2026-01-02'}}", {"a": 1, "b": {"c": None, "d": "2026-01-02"}}, '{"a":1,"b":{"c":null,"d":"2026-01-02"}}'),
    "struct_named_like_types": ("{'DATE': DATE '2026-01-02', 'INTERVAL': INTERVAL 1 MONTH}", {"DATE": "2026-01-02", "INTERVAL": "1 month"}, '{"DATE":"2026-01-02","INTERVAL":"1 month"}'),
    "struct_of_odd": (r"{'b': '\xAA'::BLOB, 'd': 1.50::DECIMAL(9, 2)}", {"b": "qg==", "d": "1.50"}, '{"b":"qg==","d":1.50}'),
    "tuple": ("row(1, 'x')", [1, "x"], '[1,"x"]'),
    "map": ("MAP {'k': 1}", {"k": 1}, '{"k":1}'),
    "map_by_number": ("MAP {1: 'a', 2: NULL}", {"1": "a", "2": None}, '{"1":"a","2":null}'),
    "map_by_struct": ("MAP {{'a': 1}: 'x'}", {"key": [{"a": 1}], "value": ["x"]}, '{"key":[{"a":1}],"value":["x"]}'),
    "union": ("union_value(num := 2)", 2, "2"),
    "json": ("""'{"a":[1,2]}'::JSON""", '{"a":[1,2]}', '{"a":[1,2]}'),
    "variant": ("{'a': 1}::VARIANT", {"a": 1}, '{"a":1}'),
    "geometry": ("'POINT(1 2)'::GEOMETRY", *["AQEAAAAAAAAAAADwPwAAAAAAAABA"] * 2),
}  # fmt: skip
QUERY = "SELECT " + ", ".join(f"{sql} AS {name}" for name, (sql, _, _) in VALUES.items())


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("types") / "perfect.duckdb"
    Duck(file).close()
    complete(file)
    return file


async def run(snapshot: Path, kind: Any, query: str = QUERY) -> tuple[bytes, Verdict]:
    body, verdict = await process.run(
        Order(
            file=str(snapshot), archived=[], query=query, parameters=[], format=kind, max_rows=10,
            max_bytes=1 << 20, deadline_s=20, memory_bytes=1 << 28,
        )
    )  # fmt: skip
    assert verdict.outcome == "done", verdict.message
    assert verdict.row_count == 1
    return body, verdict


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


async def test_json(snapshot: Path) -> None:
    wanted = {name: value for name, (_, value, _) in VALUES.items()}
    for kind in ("json", "ndjson"):
        body, verdict = await run(snapshot, kind)
        found = json.loads(body, parse_float=str, parse_constant=no_constant)  # a DECIMAL to its last digit
        row = dict(zip(verdict.columns, found[0], strict=True)) if kind == "json" else found
        assert row == wanted | {"float": "1.5"}


async def test_csv(snapshot: Path) -> None:
    body, _ = await run(snapshot, "csv")
    head, row = csv.reader(io.StringIO(body.decode(), newline=""))
    assert dict(zip(head, row, strict=True)) == {name: text for name, (_, _, text) in VALUES.items()}


async def test_parquet(snapshot: Path, tmp_path: Path) -> None:
    """DuckDB's own types where the format has them; what it has no form for is refused with DuckDB's sentence."""
    refused, changed = set(), {}
    for name, (sql, _, _) in VALUES.items():
        query = f"SELECT {sql} AS x"
        order = Order(
            file=str(snapshot), archived=[], query=query, parameters=[], format="parquet", max_rows=10,
            max_bytes=1 << 20, deadline_s=20, memory_bytes=1 << 28,
        )  # fmt: skip
        body, verdict = await process.run(order)
        if verdict.outcome != "done":
            refused.add(name)
            assert verdict.message
            continue
        file = tmp_path / f"{name}.parquet"
        file.write_bytes(body)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            (before,) = connection.execute(f"SELECT x::VARCHAR FROM ({query})").fetchall()[0]
            (after,) = connection.execute(f"SELECT x::VARCHAR FROM '{file}'").fetchall()[0]
        if before != after:
            changed[name] = (before, after)
    assert refused == {"interval_negative"}
    assert changed == {
        "hugeint": (
            str(2**127 - 1),
            "1.7014118346046923e+38",
        ),  # beyond 64 bits the format has floating point only
        "uhugeint": (str(2**128 - 1), "3.402823669209385e+38"),
        "timetz": ("03:04:05+02", "01:04:05+00"),
        "tuple": ("(1, x)", "{'element1': 1, 'element2': x}"),
        "union": ("2", "{'element1': 0, 'num': 2}"),
    }
