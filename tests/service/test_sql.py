"""SQL of people over HTTP, with the real projector: what it answers, and that nothing gets out or stops the writer."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import httpx
import msgspec
import pytest
from said_runs import FLOW, Runs

from perfect_bus import Bus
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService

DEADLINE_S = 2.0


@pytest.fixture
async def projector(start_service: Any, settings: Any) -> ProjectorService:
    short = msgspec.structs.replace(settings, sql_timeout_s=DEADLINE_S, sql_memory_bytes=256 * 2**20)
    return await start_service(ProjectorService, settings=short)


@pytest.fixture
async def http(
    projector: ProjectorService, start_service: Any, settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30) as client:
        yield client


@pytest.fixture
async def runs(bus: Bus, projector: ProjectorService) -> Runs:
    """One run with two tasks and a log line, in the file."""
    said = Runs(bus)
    run_id = await said.start(parameters={"day": "mon"})
    await said.task(run_id, 0)
    await said.task(run_id, 1)
    await said.log(run_id, "hello")
    await said.complete(run_id)
    await committed(projector, said, run_id)
    return said


async def committed(projector: ProjectorService, runs: Runs, run_id: str) -> None:
    async with asyncio.timeout(10):
        while projector.committed.get("EVENTS", 0) < runs.last[run_id]:
            await asyncio.sleep(0.01)


async def ask(http: httpx.AsyncClient, query: str, **fields: Any) -> httpx.Response:
    return await http.post("/api/sql", json={"query": query, **fields})


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
    async with asyncio.timeout(10):
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


REFUSED = {
    "read_csv": ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration"),
    "read_text": ("SELECT * FROM read_text('/etc/passwd')", "disabled by configuration"),
    "glob": ("SELECT * FROM glob('/etc/*')", "disabled by configuration"),
    "replacement scan": ("SELECT * FROM '/etc/passwd'", "does not exist"),
    "replacement scan of a csv": ("SELECT * FROM '/etc/passwd.csv'", "disabled by configuration"),
    "another address": ("SELECT * FROM read_text('http://127.0.0.1:1/')", "disabled by configuration"),
    "python variable": ("SELECT * FROM order", "order"),
    "COPY TO": ("COPY runs TO '{folder}/out.csv'", "COPY is not possible here"),
    "EXPORT": ("EXPORT DATABASE '{folder}/out'", "EXPORT is not possible here"),
    "ATTACH": ("ATTACH '{folder}/other.duckdb'", "ATTACH is not possible here"),
    "INSTALL": ("INSTALL httpfs", "LOAD is not possible here"),
    "LOAD": ("LOAD httpfs", "LOAD is not possible here"),
    "SET": ("SET enable_external_access = true", "SET is not possible here"),
    "PRAGMA": ("PRAGMA memory_limit = '100GB'", "is not possible here"),
    "CALL": ("CALL pragma_version()", "is not possible here"),
    "CREATE SECRET": ("CREATE SECRET x (TYPE s3)", "is not possible here"),
    "INSERT": ("INSERT INTO schema_version VALUES (9, now())", "INSERT is not possible here"),
    "DROP": ("DROP TABLE runs", "DROP is not possible here"),
    "CTE DELETE": ("WITH d AS (DELETE FROM runs RETURNING *) SELECT count(*) FROM d", "data-modifying"),
    "EXPLAIN ANALYZE of a write": ("EXPLAIN ANALYZE DELETE FROM runs", "read-only"),
    "several": ("SELECT 1; SELECT 2", "2 statements"),
    "COMMIT first": ("COMMIT; DELETE FROM runs", "2 statements"),
    "out of the brackets": ("SELECT 1) TO '{folder}/out' (FORMAT csv); --", "syntax error"),
    "nonsense": ("SELEC 1", "syntax error"),
    "nothing": ("-- nothing", "empty"),
}


WALLED = {name: query for name, (query, _) in REFUSED.items() if name not in ("nothing", "CALL")} | {
    "COPY FROM": "COPY runs FROM '/etc/passwd'",
    "SET in the session": "SET memory_limit = '100GB'",
    "RESET": "RESET enable_external_access",
    "own output as a file": "COPY runs TO '{folder}/out.parquet' (FORMAT parquet)",
}


@pytest.mark.parametrize("to_stdout", [False, True])
def test_the_walls_hold_without_the_check(tmp_path: Path, to_stdout: bool) -> None:
    """The clear messages come from a look at the statement; nothing depends on it."""
    from perfect_projector.duck import Duck
    from perfect_projector.sandbox.walls import locked

    file = tmp_path / "walled.duckdb"
    Duck(file).close()
    connection = locked(str(file), deadline_s=5, memory_bytes=64 * 2**20, to_stdout=to_stdout)
    order = "a variable that the engine must not see"
    assert order
    got_through = []
    for name, query in WALLED.items():
        try:
            connection.execute(query.replace("{folder}", str(tmp_path))).fetchall()
            got_through.append(name)
        except duckdb.Error:
            continue
    settings = {"enable_external_access": "false", "lock_configuration": "true"}
    for name, value in settings.items():
        assert connection.execute(f"SELECT current_setting('{name}')::VARCHAR").fetchone() == (value,)
    connection.close()
    assert set(got_through) <= {"several"}, "two SELECTs do no harm"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["walled.duckdb"]
    with duckdb.connect(str(file), read_only=True) as again:
        assert again.execute("SELECT count(*) FROM schema_version").fetchone() == (1,)


IN_THE_PROCESS = """
import sys, duckdb
from perfect_projector.sandbox import landlock, walls
file, archived, neighbour = sys.argv[1:4]
walls.limit_process(cpu_s=5)
connection = walls.locked(file, archived=[archived], deadline_s=5, memory_bytes=2**26, to_stdout=False)
for query in sys.stdin.read().splitlines():
    try:
        rows = connection.execute(query).fetchall()
    except duckdb.Error:
        continue
    print(query, file=sys.stderr)
try:
    open(archived, "ab").write(b"x")
    print("Python wrote", file=sys.stderr)
except OSError:
    pass
try:
    open(neighbour + ".new", "wb").close()
    print("Python made a file", file=sys.stderr)
except OSError:
    pass
"""


def test_the_walls_hold_with_an_archive(tmp_path: Path) -> None:
    """Of the process, which is what keeps a statement that no check has seen from writing."""
    import subprocess
    import sys

    from perfect_projector.duck import Duck

    file, archive = tmp_path / "walled.duckdb", tmp_path / "archive"
    archive.mkdir()
    archived, neighbour = archive / "events_2026_01.parquet", archive / "not of the views.parquet"
    duck = Duck(file)
    for one in (archived, neighbour):
        duck.connection.execute(f"COPY (SELECT 7 AS seq) TO '{one}'")
    duck.close()
    before = {one: one.read_bytes() for one in archive.iterdir()}
    allowed = f"SELECT seq FROM read_parquet('{archived}')"
    attempts = [
        f"FROM read_parquet('{neighbour}')",
        f"FROM read_parquet('{archive}/*.parquet')",
        f"FROM read_parquet('{archived}/../{neighbour.name}')",
        f"FROM glob('{archive}/*')",
        "FROM read_text('/etc/passwd')",
        f"ATTACH '{archived}' AS other",
        f"COPY (SELECT 1) TO '{archived}'",
        f"COPY (SELECT 1) TO '{archived}' (USE_TMP_FILE false)",
        f"COPY (SELECT 1) TO '{archived}' (FORMAT csv, USE_TMP_FILE false)",
        f"COPY (SELECT 1) TO '{neighbour}' (USE_TMP_FILE false)",
        f"COPY (SELECT 1 AS a, 2 AS b) TO '{archive}' (FORMAT parquet, PARTITION_BY (a), OVERWRITE)",
        f"EXPORT DATABASE '{archive}'",
        f"SET allowed_paths = ['{neighbour}']",
        "SET enable_external_access = true",
    ]
    assert not any("\n" in one for one in attempts)
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_PROCESS, str(file), str(archived), str(neighbour)],
        input="\n".join([allowed, *attempts]).encode(), capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stderr.decode().splitlines() == [allowed]
    assert {one: one.read_bytes() for one in archive.iterdir()} == before


async def test_what_is_refused(http: httpx.AsyncClient, runs: Runs, tmp_path: Path) -> None:
    """Every one of them as JSON and, where the engine itself writes, as Parquet."""
    for name, (query, why) in REFUSED.items():
        for kind in ("json", "parquet"):
            answer = await ask(http, query.replace("{folder}", str(tmp_path)), format=kind)
            assert answer.status_code == 400, (name, kind, answer.text)
            if kind == "json":
                assert why.lower() in answer.json()["detail"].lower(), (name, answer.json())
    assert not list(tmp_path.glob("out*"))
    assert (await ask(http, "SELECT count(*) FROM runs")).json()["rows"] == [[1]]


BOMBS = {
    "CPU": "SELECT count(*) FROM range(100000000000) a, range(1000000) b",
    "sort": "SELECT * FROM range(10000000000) ORDER BY hash(range)",
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "memory of a list": "SELECT len(range(1000000000))",
    "memory of a text": "SELECT length(repeat(repeat('x', 1000000), 3000))",
    "memory of groups": "SELECT range % 1000000000 AS g, list(range) FROM range(1000000000) GROUP BY g",
    "giant text": "SELECT repeat('x', 900000000)",
    "nesting": "SELECT " + "(" * 40_000 + "1" + ")" * 40_000,
    "one call that cannot be interrupted": "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "own output": "SELECT * FROM read_text('/dev/stdout')",
}


TO_THE_END = {"CPU", "recursion", "own output", "one call that cannot be interrupted"}


async def test_bombs_go_off_in_their_own_process(
    http: httpx.AsyncClient, runs: Runs, projector: ProjectorService
) -> None:
    """Stopped at the deadline at the latest, with a sentence, while the writer commits run after run."""
    written = 0
    over = False

    async def write_on() -> None:
        nonlocal written
        while not over:
            run_id = await runs.start()
            await runs.complete(run_id)
            await committed(projector, runs, run_id)
            written += 1

    async def one(name: str, query: str, kind: str) -> None:
        before = written
        answer = await ask(http, query, format=kind)
        assert answer.status_code in (400, 422), (name, answer.status_code, answer.text[:300])
        assert answer.json()["detail"], name
        if name in TO_THE_END:
            assert f"stopped after {DEADLINE_S:g} s" in answer.json()["detail"], name
            assert written > before, f"nothing was committed while {name} ran"

    writer = asyncio.create_task(write_on())
    try:
        for name, query in BOMBS.items():
            await one(name, query, "parquet" if name == "own output" else "json")
    finally:
        over = True
        await writer
    assert (await ask(http, "SELECT count(*) > 1 FROM runs")).json()["rows"] == [[True]]


async def test_too_many_at_once_are_told_to_come_again(http: httpx.AsyncClient, runs: Runs) -> None:
    query = BOMBS["CPU"]
    answers = await asyncio.gather(*(ask(http, query) for _ in range(14)))
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) == {422, 429}
    busy = next(answer for answer in answers if answer.status_code == 429)
    assert busy.headers["retry-after"]
    assert busy.json()["title"] == "Busy"


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
