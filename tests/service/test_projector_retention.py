"""Months that have expired leave the read model, by a clock that the tests move."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
import structlog
from eventually import eventually
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.batch import Batch
from perfect_projector.continuity import FILE
from perfect_projector.database import quoted
from perfect_projector.duck import Duck
from perfect_projector.retention import Retention, ends
from perfect_projector.service import ProjectorService
from perfect_runtime.service import Context
from perfect_schemas import ids, queries, subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Rejected


class Clock:
    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


async def projected(bus: Bus, make_bus, settings: Settings, clock: Clock, *, dropped: int) -> None:
    """Run a projector until it has read everything and has let go of so many months."""
    context = Context(
        bus=await make_bus("projector"), settings=settings, log=structlog.get_logger(), clock=clock
    )
    service = ProjectorService(context)
    await service.start()
    try:

        async def has_read_all() -> bool:  # the warnings that it says itself included
            ends = {
                name: (await bus.js.stream_info(name)).state.last_seq for name in ("DEFS", "EVENTS", "LOGS")
            }
            return service.committed == ends

        await eventually(has_read_all)
        await eventually(lambda: service.metrics()["months_dropped_total"] == dropped)
    finally:
        await service.stop()
        await context.cancel_spawned()


def counts(settings: Settings) -> dict[str, int]:
    with duckdb.connect(str(settings.data_dir / FILE), read_only=True) as file:
        tables = [
            name for (name,) in file.execute("SELECT table_name FROM information_schema.tables").fetchall()
        ]
        wanted = {"events", "logs", "runs", "task_runs", "task_statistics", "flow_statistics"}
        wanted |= {"archived_runs", "archived_task_runs"} & set(tables)
        live = "SELECT count(*) FROM runs WHERE state NOT IN ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"
        found = {"live": file.execute(live).fetchone()[0]}
        found |= {name: file.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in wanted}
        return found | {"tables": len([name for name in tables if name[-7:].replace("_", "").isdigit()])}


@pytest.mark.parametrize("archived", [True, False])
async def test_a_month_goes_when_it_is_too_old(
    bus: Bus, make_bus, settings: Settings, tmp_path: Path, archived: bool
) -> None:
    archive = tmp_path / "the owner's archive" if archived else None
    settings = msgspec.structs.replace(settings, archive_dir=archive)
    world = World(bus, seed=9)
    world.register()
    client = world.client()
    for _ in range(30):
        world.run(client)
    await bus.outbox.flush()
    clock = Clock()
    over = ends(f"{clock.now:%Y_%m}")
    clock.now = over + timedelta(days=29)
    await projected(bus, make_bus, settings, clock, dropped=0)
    before = counts(settings)
    assert before["runs"] == 30
    assert before["logs"] > 0
    assert before["tables"] == 2

    clock.now = over + timedelta(days=30)
    await projected(bus, make_bus, settings, clock, dropped=1)
    after = counts(settings)
    assert after == before | {"tables": 1} | ({} if archived else {"logs": 0})

    clock.now = over + timedelta(days=180)
    await projected(bus, make_bus, settings, clock, dropped=1)
    after = counts(settings)
    kept = {"task_statistics": before["task_statistics"], "flow_statistics": before["flow_statistics"]}
    assert after.items() >= kept.items()
    live = before["live"]
    assert (after["runs"], after["live"], after["tables"]) == (live, live, 0), "what has not ended stays"
    if archived:
        assert (after["events"], after["logs"]) == (before["events"], before["logs"])
        assert after["archived_runs"] == 30 - live > 0
        assert after["archived_task_runs"] == before["task_runs"] - after["task_runs"]
        assert not list(archive.glob("*.part"))
    else:
        assert (after["events"], after["logs"]) == (0, 0)


async def ask_sql(bus: Bus, query: str, **fields: Any) -> Any:
    """The rows."""
    reply = await bus.ask(subjects.query("sql"), queries.Sql(query=query, **fields), timeout_s=30, try_s=30)
    return msgspec.json.decode(msgspec.json.decode(reply.value, type=queries.SqlResult).rows)


async def test_sql_reads_what_is_in_the_archive(
    bus: Bus, make_bus, settings: Settings, tmp_path: Path, start_service
) -> None:
    archive = tmp_path / "the owner's archive"
    settings = msgspec.structs.replace(settings, archive_dir=archive)
    world = World(bus, seed=11)
    world.register()
    client = world.client()
    for _ in range(30):
        world.run(client)
    await bus.outbox.flush()
    clock = Clock()
    await projected(bus, make_bus, settings, clock, dropped=0)
    before = counts(settings)
    clock.now = ends(f"{clock.now:%Y_%m}") + timedelta(days=180)
    await projected(bus, make_bus, settings, clock, dropped=2)
    (archive / "of somebody else.txt").write_text("not for queries")
    files = {file: file.read_bytes() for file in archive.iterdir()}

    projector = await start_service(ProjectorService, settings=settings)
    for table, rows in (
        ("events", "events"),
        ("logs", "logs"),
        ("v_runs", "runs"),
        ("v_task_runs", "task_runs"),
    ):
        assert await ask_sql(bus, f"SELECT count(*) FROM {table}") == [[before[rows]]], table
    ((lines, named),) = await ask_sql(bus, "SELECT count(*), count(nullif(flow, '')) FROM v_log_lines")
    assert lines == named > 0
    assert await ask_sql(
        bus, "SELECT count(*) > 0 FROM v_runs WHERE is_archived AND parameters->>'$' IS NOT NULL"
    ) == [[True]]
    assert (await ask_sql(bus, "SELECT sum(runs) FROM v_daily"))[0][0] == before["runs"]

    events = next(file for file in files if file.name.startswith("events_"))
    for query in (
        f"FROM read_text({quoted(archive / 'of somebody else.txt')})",
        f"FROM glob({quoted(archive / '*')})",
        f"FROM read_parquet({quoted(archive / '*.parquet')})",
        f"FROM read_text({quoted(archive / '..' / 'data' / 'connection.json')})",
        f"FROM read_text({quoted(events)} || '/../of somebody else.txt')",
        f"COPY runs TO {quoted(events)} (USE_TMP_FILE false)",
    ):
        for kind in ("json", "parquet"):
            with pytest.raises(Rejected):
                await ask_sql(bus, query, format=kind)
    assert {file: file.read_bytes() for file in archive.iterdir()} == files

    reply = await bus.ask(subjects.query("snapshot"), queries.SnapshotFile())
    snapshot = msgspec.json.decode(reply.value, type=queries.SqlSnapshot).file
    with duckdb.connect(snapshot, read_only=True) as analyst:
        assert analyst.execute("SELECT count(*) FROM v_runs").fetchone() == (before["runs"],)
        assert analyst.execute("SELECT count(*) FROM events").fetchone() == (before["events"],)
    await projector.stop()

    run_files = [file for file in files if file.name.startswith(("runs_", "logs_"))]
    for file in run_files:
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-100])
    projector = await start_service(ProjectorService, settings=settings)
    assert await ask_sql(bus, "SELECT count(*) FROM events") == [[before["events"]]], "the others are read"
    assert await ask_sql(bus, "SELECT count(*) FROM logs") == [[0]]
    assert projector.alarms["archive"].count(".parquet (") == 2
    assert not list(settings.data_dir.glob("*.damaged*")), "the file itself is sound"


async def test_a_run_that_ends_again_is_in_one_archive(settings: Settings, tmp_path: Path) -> None:
    """Tried again after it was archived: until it ends it is in the file, then in the archive of its last month."""
    archive = tmp_path / "archive"
    duck = Duck(tmp_path / "perfect.duckdb", archive)
    run, task = (text.replace("-", "") for text in (ids.uuid7(), ids.uuid7()))
    execute = duck.connection.execute

    def end(month: str, seq: int) -> None:
        duck.write(
            Batch(
                events={
                    month: [("EVENTS", seq, utc_now().replace(tzinfo=None), "run.completed", run, None, "{}")]
                }
            )
        )
        for table, values in (
            ("runs", {"id": run, "state": "COMPLETED", "last_seq": seq, "first_seq": 1}),
            ("task_runs", {"id": task, "run_id": run, "state": "COMPLETED", "last_seq": seq}),
        ):
            execute(f"DELETE FROM {table}")
            needed = execute(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $1 AND NOT is_nullable",
                [table],
            ).fetchall()
            empty = {"VARCHAR": "", "JSON": "{}", "UUID": run, "TIMESTAMP": "2026-01-01", "VARCHAR[]": []}
            row = {name: empty.get(kind, 0) for name, kind in needed} | values
            known = {
                name
                for (name,) in execute(
                    "SELECT column_name FROM duckdb_columns() WHERE table_name = $1", [table]
                ).fetchall()
            }
            row = {name: value for name, value in row.items() if name in known}
            marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
            execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))

    async def in_writer(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    context = Context(
        bus=None,  # type: ignore[arg-type]  # nothing here speaks
        settings=msgspec.structs.replace(settings, archive_dir=archive),
        log=structlog.get_logger(),
        clock=lambda: utc_now() + timedelta(days=10_000),
    )
    retention = Retention(context, structlog.get_logger(), duck, in_writer)
    try:
        for month, seq in (("2026_01", 5), ("2026_02", 9), ("2026_02", 12)):
            end(month, seq)
            assert execute("SELECT count(*) FROM runs").fetchone() == (1,)
            await retention.sweep()
            assert execute("SELECT count(*) FROM runs").fetchone() == (0,)
            assert execute("SELECT last_seq FROM archived_runs").fetchall() == [(seq,)]
            assert execute("SELECT last_seq FROM archived_task_runs").fetchall() == [(seq,)]
        assert execute("SELECT seq FROM events ORDER BY seq").fetchall() == [(5,), (9,), (12,)]
    finally:
        retention.close()
        duck.close()


async def test_what_comes_after_a_month_was_archived_joins_it(
    bus: Bus, make_bus, settings: Settings, tmp_path: Path
) -> None:
    settings = msgspec.structs.replace(settings, archive_dir=tmp_path / "archive")
    world = World(bus, seed=10)
    world.register()
    client = world.client()
    clock = Clock()
    clock.now = ends(f"{clock.now:%Y_%m}") + timedelta(days=180)
    told = 0
    for _ in range(
        2
    ):  # the server's clock is not ours: what it stores now belongs to the month that has gone
        for _ in range(10):
            world.run(client)
        await bus.outbox.flush()
        told += 10
        later, clock.now = clock.now, utc_now()
        await projected(bus, make_bus, settings, clock, dropped=0)
        clock.now = later
        await projected(bus, make_bus, settings, clock, dropped=2)
        found = counts(settings)
        assert (found["runs"] + found["archived_runs"], found["tables"]) == (told, 0)
        events = sum([(await bus.js.stream_info(name)).state.messages for name in ("DEFS", "EVENTS")])
        assert found["events"] == events
