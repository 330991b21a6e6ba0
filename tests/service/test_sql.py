"""SQL of people over HTTP, with the real projector: what it answers."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from said_runs import FLOW, Runs
from sql_asked import ask, committed, one_run

from perfect_bus import Bus
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService


@pytest.fixture
async def runs(bus: Bus, projector: ProjectorService) -> Runs:
    return await one_run(bus, projector)


async def test_an_answer_as_json(http: httpx.AsyncClient, runs: Runs) -> None:
    answer = await ask(http, "SELECT flow, tasks_done, duration, start_time FROM v_runs WHERE state = $1", parameters=["COMPLETED"])  # fmt: skip
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["columns"] == ["flow", "tasks_done", "duration", "start_time"]
    assert found["types"] == ["VARCHAR", "INTEGER", "INTERVAL", "TIMESTAMP"]
    flow, done, duration, start = found["rows"][0]
    assert (flow, done, duration) == (FLOW, 2, "00:00:00.01")
    assert start.endswith("Z")
    assert (found["row_count"], found["truncated"]) == (1, False)
    assert found["elapsed_ms"] > 0
    assert found["snapshot_at"].endswith("Z")


async def test_named_parameters_zones_and_odd_values(http: httpx.AsyncClient, runs: Runs) -> None:
    query = "SELECT $n + 1 AS n, '2026-01-02 03:04:05+02'::TIMESTAMPTZ AS t, 1.50::DECIMAL(9,2) AS d, MAP {1: 'a'} AS m, 'NaN'::DOUBLE AS x, 'ab'::BLOB AS b -- end"
    answer = await ask(http, query, parameters={"n": 41})
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] == [[42, "2026-01-02T01:04:05Z", 1.5, {"1": "a"}, None, "YWI="]]


async def test_what_reads_is_allowed(http: httpx.AsyncClient, runs: Runs) -> None:
    for query in (
        "FROM v_daily", "SHOW TABLES", "DESCRIBE runs", "SUMMARIZE runs", "EXPLAIN SELECT 1", "VALUES (1), (2)",
        "WITH a AS (SELECT 1 AS x) FROM a;", "PIVOT v_runs ON state USING count(*)",
    ):  # fmt: skip
        answer = await ask(http, query)
        assert answer.status_code == 200, (query, answer.text)
        assert answer.json()["row_count"] >= 1, query


async def test_files(http: httpx.AsyncClient, runs: Runs, tmp_path: Path) -> None:
    query = "SELECT name, duration_ms, start_time FROM task_runs ORDER BY first_seq"
    answer = await ask(http, query, format="csv")
    assert answer.headers["content-type"].startswith("text/csv")
    lines = answer.text.splitlines()
    assert lines[0] == "name,duration_ms,start_time"
    assert len(lines) == 3
    assert answer.headers["perfect-truncated"] == "false"
    answer = await http.post(
        "/api/sql", json={"query": query, "max_rows": 1}, headers={"accept": "application/x-ndjson"}
    )
    assert [json.loads(line)["name"] for line in answer.text.splitlines()] == ["step"]
    assert answer.headers["perfect-truncated"] == "true"
    answer = await ask(http, query, format="parquet")
    assert answer.status_code == 200, answer.text
    file = tmp_path / "result.parquet"
    file.write_bytes(answer.content)
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT name, duration_ms FROM '{file}'").fetchall() == [("step", 5)] * 2
        assert connection.execute(f"SELECT typeof(start_time) FROM '{file}'").fetchone() == ("TIMESTAMP",)


async def test_more_than_was_asked_for_is_said(http: httpx.AsyncClient, runs: Runs) -> None:
    found = (await ask(http, "FROM range(10000000000)", max_rows=5)).json()
    assert (found["rows"], found["truncated"]) == ([[0], [1], [2], [3], [4]], True)
    wide = (await ask(http, "SELECT repeat('x', 20000) FROM range(5000)", max_rows=5000)).json()
    assert wide["truncated"]
    assert 800 < wide["row_count"] < 850


async def test_a_snapshot_has_what_was_committed_before(
    http: httpx.AsyncClient, runs: Runs, projector: ProjectorService
) -> None:
    async def count() -> int:
        return (await ask(http, "SELECT count(*) FROM runs")).json()["rows"][0][0]

    assert await count() == 1
    first = (await http.post("/api/sql/snapshot")).json()
    assert (await http.post("/api/sql/snapshot")).json()["file"] == first["file"], "nothing was written since"
    run_id = await runs.start()
    await committed(projector, runs, run_id)
    async with asyncio.timeout(60):
        while await count() != 2:
            await asyncio.sleep(0.1)
    second = (await http.post("/api/sql/snapshot")).json()
    assert second["file"] != first["file"]
    assert not Path(first["file"]).exists(), "nobody reads the old one"
    assert [file.name for file in Path(second["file"]).parent.iterdir()] == [Path(second["file"]).name]
    with duckdb.connect(second["file"], read_only=True) as analyst:
        assert analyst.execute("SELECT count(*) FROM v_runs").fetchone() == (2,)
        assert (await ask(http, "SELECT 1")).status_code == 200, "both read it at the same time"
    assert {table["name"] for table in (await http.get("/api/sql/schema")).json()} >= {"v_runs", "runs"}


async def test_what_is_sent_wrong(http: httpx.AsyncClient, runs: Runs) -> None:
    for body in (
        {},
        {"query": ""},
        {"query": "SELECT 1", "format": "xml"},
        {"query": "SELECT 1", "max_rows": 0},
    ):
        answer = await http.post("/api/sql", json=body)
        assert answer.status_code == 422, (body, answer.text)
    long = await ask(http, f"SELECT '{'x' * 200_000}'")
    assert long.status_code == 422
    assert "longer than" in long.json()["detail"]


async def test_no_room_for_a_snapshot_is_said(
    http: httpx.AsyncClient, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfect_projector.sandbox import snapshot

    monkeypatch.setattr(snapshot, "MIN_FREE_BYTES", 1 << 60)
    answer = await ask(http, "SELECT 1")
    assert answer.status_code == 503
    assert "no room for a snapshot" in answer.json()["detail"]


async def test_a_restart_leaves_one_snapshot(
    http: httpx.AsyncClient, runs: Runs, projector: ProjectorService, tmp_path: Path
) -> None:
    from perfect_projector.sandbox.snapshot import Snapshots

    folder = Path((await http.post("/api/sql/snapshot")).json()["file"]).parent
    (folder / "perfect-20200101T000000000000.duckdb").write_bytes(b"old")
    (folder / "perfect-20990101T000000000000.partial").write_bytes(b"half")
    with duckdb.connect() as connection:
        again = Snapshots(connection.cursor(), folder.parent / "perfect.duckdb", dict)
        await again.start()
        assert len(list(folder.iterdir())) == 1
        await again.stop()


def test_an_interval_reads_like_duckdb_writes_it() -> None:
    from datetime import timedelta

    from perfect_projector.sandbox.output import interval

    assert interval(timedelta(seconds=3.5)) == "00:00:03.5"
    assert interval(timedelta(days=2, hours=3)) == "2 days 03:00:00"
    assert interval(timedelta(days=1)) == "1 day"
    assert interval(-timedelta(minutes=1)) == "-00:01:00"


def test_bytes_are_what_they_are() -> None:
    from perfect_projector.sandbox.output import Body

    body = Body(io.BytesIO(), 3)
    body.write(b"ab")
    assert body.room(1)
    assert not body.room(2)


async def test_queries_are_kept(http: httpx.AsyncClient, start_service: Any, bus: Bus, make_bus: Any) -> None:
    registry = await start_service(RegistryService)
    path = "/api/sql/queries/slow ones/of mine"
    assert (await http.get("/api/sql/queries")).json() == []
    assert (await http.put(path, json={"text": "FROM v_slowest_tasks"})).status_code == 204
    assert (await http.put(path, json={"text": "FROM v_slowest_tasks LIMIT 9"})).status_code == 204
    assert (await http.put(path, json={"text": " "})).status_code == 422
    await registry.stop()
    await start_service(RegistryService)
    (kept,) = (await http.get("/api/sql/queries")).json()
    assert (kept["name"], kept["text"]) == ("slow ones/of mine", "FROM v_slowest_tasks LIMIT 9")
    assert (await http.delete(path)).status_code == 204
    assert (await http.delete(path)).status_code == 404
    assert (await http.get("/api/sql/queries")).json() == []


async def test_a_stream_of_an_earlier_version_gets_the_new_subjects(make_bus: Any) -> None:
    bus = await make_bus("old")
    await bus.js.add_stream(name="DEFS", subjects=["perfect.evt.flow.*"], max_bytes=1 << 20)
    await bus.ensure_streams()
    config = (await bus.js.stream_info("DEFS")).config
    assert "perfect.evt.query.*" in config.subjects
    assert config.max_bytes == 1 << 20
