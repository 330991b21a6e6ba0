"""The views for people: each one is made, runs on an empty file, and says what it is."""

from pathlib import Path

import duckdb
import pytest

from perfect_projector.batch import Batch
from perfect_projector.duck import Duck
from perfect_projector.sandbox.schema import complete, view_files

VIEWS = [name[3:] for name in view_files() if "_v_" in name]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("snapshot")
    duck = Duck(folder / "perfect.duckdb")
    duck.write(Batch(events={"2026_05": [], "2026_06": []}, logs={"2026_05": [], "2026_06": []}))
    duck.close()
    tables = complete(folder / "perfect.duckdb").tables
    connection = duckdb.connect(str(folder / "perfect.duckdb"), read_only=True)
    yield connection, tables
    connection.close()


def test_the_views_are_these() -> None:
    assert VIEWS == [
        "v_runs", "v_task_runs", "v_artifacts", "v_task_durations", "v_failures", "v_slowest_tasks", "v_log_lines", "v_daily",
        "v_schedules", "v_schedule_adherence",
    ]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_runs_on_an_empty_file(snapshot, view: str) -> None:
    connection, _ = snapshot
    assert connection.execute(f"FROM {view}").fetchall() == []


def test_everything_says_what_it_is(snapshot) -> None:
    _, tables = snapshot
    assert [table.name for table in tables if not table.comment] == []
    assert {"v_runs", "runs", "events", "logs"} <= {table.name for table in tables}
    assert all(table.columns for table in tables)
    assert not any("2026" in table.name for table in tables)
    assert tables[0].name.startswith("v_")
    durations = next(table for table in tables if table.name == "v_runs")
    assert next(one for one in durations.columns if one.name == "queued_ms").comment


def copied(duck: Duck, copy: Path) -> None:
    execute = duck.connection.execute
    execute(f"ATTACH '{copy}' AS copy")
    execute("COPY FROM DATABASE perfect TO copy")
    execute("DETACH copy")


def test_months_in_an_archive_are_read_where_they_are(tmp_path: Path) -> None:
    live, archive = tmp_path / "perfect.duckdb", tmp_path / "the archive's"
    archive.mkdir()
    duck = Duck(live, archive)
    runs, events = "FROM runs LIMIT 0", "FROM events LIMIT 0"
    for table, rows in (("events", events), ("runs", runs), ("task_runs", "FROM task_runs LIMIT 0")):
        duck.connection.execute(
            f"COPY ({rows}) TO '{str(archive).replace(chr(39), chr(39) * 2)}/{table}_2026_01.parquet'"
        )
    duck.months.remember("events", "2026_01")
    duck.months.make_views()
    copied(duck, tmp_path / "with.duckdb")
    contents = complete(tmp_path / "with.duckdb", archive)
    assert [file.name for file in contents.archived] == [
        "events_2026_01.parquet", "runs_2026_01.parquet", "task_runs_2026_01.parquet",
    ]  # fmt: skip
    with duckdb.connect(str(tmp_path / "with.duckdb"), read_only=True) as connection:
        plan = str(connection.execute("EXPLAIN FROM v_runs").fetchall())
        assert "READ_PARQUET" in plan
    (archive / "runs_2026_01.parquet").write_bytes(b"PAR1 and no more")
    (archive / "events_2026_01.parquet").unlink()
    copied(duck, tmp_path / "less.duckdb")
    contents = complete(tmp_path / "less.duckdb", archive)
    assert [file.name for file in contents.archived] == ["task_runs_2026_01.parquet"], "what can be read"
    with duckdb.connect(str(tmp_path / "less.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM v_runs").fetchone() == (0,)
    duck.close()


def test_without_an_archive_nothing_is_read_from_elsewhere(tmp_path: Path) -> None:
    """As in a backup: views over files that are not there would make it useless."""
    live, copy = tmp_path / "perfect.duckdb", tmp_path / "copy.duckdb"
    duck = Duck(live)
    execute = duck.connection.execute
    execute(f"COPY (SELECT 1 AS seq) TO '{tmp_path}/events_2026_01.parquet'")
    archive = f"FROM read_parquet('{tmp_path}/events_2026_01.parquet')"
    execute(f"CREATE OR REPLACE VIEW events AS {archive}")
    execute(f"CREATE VIEW archived_anything AS {archive}")
    copied(duck, copy)
    duck.close()
    names = {table.name for table in complete(copy).tables}
    assert "events" in names
    assert "archived_anything" not in names
    with duckdb.connect(str(copy), read_only=True, config={"enable_external_access": False}) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
