"""`perfect sql`: what the options mean, and how a table looks."""

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest

from perfect_sdk.cli import main
from perfect_sdk.cli.exits import OK, USAGE
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.sql import is_number

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
    assert said.out == "name     n\na b      5\n–     1000\n"
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


def test_numbers_stand_on_the_right() -> None:
    kinds = ("INTEGER", "UBIGINT", "DECIMAL(9,2)", "UUID", "BIGINT[]", "INTERVAL", "VARCHAR")
    assert [is_number(kind) for kind in kinds] == [True, True, True, False, False, False, False]
