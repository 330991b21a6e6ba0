"""SQL of people: nothing gets out, and nothing is written."""

from pathlib import Path

import duckdb
import httpx
import pytest
from said_runs import Runs
from sql_asked import ask, one_run

from perfect_bus import Bus
from perfect_projector.service import ProjectorService


@pytest.fixture
async def runs(bus: Bus, projector: ProjectorService) -> Runs:
    return await one_run(bus, projector)


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
