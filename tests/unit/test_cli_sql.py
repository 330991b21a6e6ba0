"""`perfect sql`: what the options mean, and how a table looks."""

import io
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from perfect_sdk.cli import main
from perfect_sdk.cli.exits import OK, USAGE
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.sql import _table, fitted, is_number

FOUND = {
    "columns": ["name", "n"], "types": ["VARCHAR", "BIGINT"], "rows": [["a\nb", 5], [None, 1000]], "row_count": 2,
    "truncated": True, "elapsed_ms": 1, "snapshot_at": "2026-01-01T00:00:00Z",
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was sent, with an answer of the format that was asked for."""
    bodies: list[Any] = []

    def download(_: Gateway, path: str, body: Any) -> tuple[bytes, Any]:
        bodies.append(body)
        data = json.dumps(FOUND).encode() if "format" not in body else b"PAR1 or text\n"
        return data, {"perfect-rows": "2", "perfect-truncated": "false"}

    monkeypatch.setattr(Gateway, "download", download)
    return bodies


def sql(*arguments: str) -> int:
    return main(["sql", "--url", "http://127.0.0.1:1", *arguments])


def test_a_table_for_people(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert sql("FROM runs", "-p", "n=3", "--max-rows", "2") == OK
    assert asked == [{"query": "FROM runs", "parameters": {"n": 3}, "max_rows": 2}]
    said = capsys.readouterr()
    assert said.out == "name     n\na b      5\nNULL  1000\n"
    assert "only the first 2 rows" in said.err


def test_json_and_standard_input(
    asked: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("FROM v_daily\n"))
    assert sql("--json") == OK
    assert asked[0]["query"] == "FROM v_daily\n"
    assert json.loads(capsys.readouterr().out) == FOUND


def test_a_file_says_the_format(asked: list[Any], tmp_path: Any) -> None:
    assert sql("FROM runs", "-o", str(tmp_path / "r.parquet")) == OK
    assert asked[0]["format"] == "parquet"
    assert (tmp_path / "r.parquet").read_bytes() == b"PAR1 or text\n"
    assert sql("FROM runs", "-o", str(tmp_path / "r.json")) == OK
    assert json.loads((tmp_path / "r.json").read_text()) == FOUND


@pytest.mark.parametrize(
    "arguments", [("FROM x", "-o", "x.xls"), ("FROM x", "--format", "table", "-o", "x.csv"), (" ",), ()]
)
def test_wrong_usage(asked: list[Any], arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    assert sql(*arguments) == USAGE
    assert asked == []


def test_a_wide_table_fits_the_terminal() -> None:
    text, number = False, True
    assert fitted([10, 20], [text, text], 80) == [10, 20]
    assert fitted([10, 70, 60], [text, text, text], 80) == [10, 33, 33]
    assert fitted([10, 70, 20], [text, text, number], 60) == [10, 26, 20]
    assert fitted([30, 30, 30], [number, number, number], 60) is None, "numbers are never cut"
    assert fitted([20] * 12, [text] * 12, 80) is None, "too many"
    for room in range(20, 200, 7):
        found = fitted([9, 35, 80, 4], [text, text, text, number], room)
        assert found is None or sum(found) + 3 * 2 <= room


def test_what_does_not_fit_stands_in_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    columns = [f"column_{n}" for n in range(12)]
    wide = {"columns": columns, "types": ["VARCHAR"] * 12, "rows": [["x" * 90, None, *"abcdefghij"]] * 2}
    _table(wide, 60)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["-- row 1", "column_0   " + "x" * 48 + "…", "column_1   NULL"]
    assert len(lines) == 26
    assert max(map(len, lines)) <= 60


def test_numbers_are_exact(capsys: pytest.CaptureFixture[str]) -> None:
    data = '{"a": 0.10}'
    found = {
        "columns": ["d", "x", "l"],
        "types": ["DECIMAL(38,9)", "DOUBLE", "DOUBLE[]"],
        "rows": json.loads(
            f"[[12345678901234567890.123456789, 0.1, [0.5]], [1.50, 1e300, {data}]]", parse_float=Decimal
        ),
    }
    _table(found, None)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "12345678901234567890.123456789     0.1  [0.5]",
        "                          1.50  1e+300  " + '{"a": 0.1}',
    ]


def test_numbers_stand_on_the_right() -> None:
    kinds = ("INTEGER", "UBIGINT", "DECIMAL(9,2)", "UUID", "BIGINT[]", "INTERVAL", "VARCHAR")
    assert [is_number(kind) for kind in kinds] == [True, True, True, False, False, False, False]
