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
    tables = complete(folder / "perfect.duckdb")
    connection = duckdb.connect(str(folder / "perfect.duckdb"), read_only=True)
    yield connection, tables
    connection.close()


def test_the_views_are_these() -> None:
    assert VIEWS == [
        "v_runs", "v_task_runs", "v_task_durations", "v_failures", "v_slowest_tasks", "v_log_lines", "v_daily",
        "v_schedule_adherence",
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


def test_months_in_an_archive_are_left_out(tmp_path: Path) -> None:
    """Their views would read files, which a query may not."""
    live, copy = tmp_path / "perfect.duckdb", tmp_path / "copy.duckdb"
    duck = Duck(live)
    execute = duck.connection.execute
    execute(f"COPY (SELECT 1 AS seq) TO '{tmp_path}/events_2026_01.parquet'")
    archive = f"FROM read_parquet('{tmp_path}/events_2026_01.parquet')"
    execute(f"CREATE OR REPLACE VIEW events AS {archive}")
    execute(f"CREATE VIEW archived_anything AS {archive}")
    execute(f"ATTACH '{copy}' AS copy")
    execute("COPY FROM DATABASE perfect TO copy")
    execute("DETACH copy")
    duck.close()
    names = {table.name for table in complete(copy)}
    assert "events" in names
    assert "archived_anything" not in names
    with duckdb.connect(str(copy), read_only=True, config={"enable_external_access": False}) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
