"""Months that have expired leave the read model, by a clock that the tests move."""

from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
import structlog
from eventually import eventually
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.continuity import FILE
from perfect_projector.retention import ends
from perfect_projector.service import ProjectorService
from perfect_runtime.service import Context
from perfect_schemas.envelope import utc_now


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
