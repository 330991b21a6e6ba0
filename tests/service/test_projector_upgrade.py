"""A file of an older version is brought up to date when it is opened, from its own log, whatever happens meanwhile."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from aged import age
from running import FLOWS, running
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector import shape
from perfect_projector.database import connect
from perfect_projector.duck import Duck
from perfect_projector.rebuild import Outcome, compare, rebuild
from perfect_projector.service import FILE, ProjectorService
from perfect_projector.upgrade import FOLDER, Upgrade, check_room
from perfect_projector.versions import SCHEMA_VERSION
from perfect_runtime.backup import backup
from perfect_runtime.manifest import READ_MODEL, SUMS
from perfect_runtime.restore import restore
from perfect_runtime.verify import verify
from perfect_schemas.commands import Health
from perfect_schemas.errors import Failed

GROUPS = (("projector",), ("registry", "engine"))


def rows(file: Path) -> dict[str, list[Any]]:
    """All that the tables hold, but when the file came to its version."""
    with connect(file, read_only=True) as connection:
        return {
            table: sorted(map(repr, connection.execute(f'FROM "{table}"').fetchall()))
            for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            if table != "schema_version"
        }


def kept(file: Path) -> Path:
    """A copy of it, as it is before it is aged."""
    return Path(shutil.copyfile(file, file.with_name("kept.duckdb")))


def check_same(file: Path, other: Path) -> None:
    outcome = Outcome()
    with connect(file, read_only=True) as connection:
        compare(connection, other, outcome)
    assert outcome.lines == []


def check_shape(file: Path) -> None:
    """Column by column as a new file, in any order."""
    with connect(file, read_only=True) as connection:
        for table, columns in shape.wanted().items():
            if not table.endswith(f"_{shape.NO_MONTH}"):
                assert shape.columns(connection, table) == columns, table
        months = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name SIMILAR TO '(events|logs)_2.*'"
        ).fetchall()
        assert months
        for (table,) in months:
            kind = f"{table.partition('_')[0]}_{shape.NO_MONTH}"
            assert shape.columns(connection, table) == shape.wanted()[kind]


def versions(file: Path) -> list[int]:
    with connect(file, read_only=True) as connection:
        return [
            n for (n,) in connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall()
        ]


@pytest.fixture
async def file(bus: Bus, settings: Settings, start_service: Any) -> Path:
    """As a projector leaves it that has read of 150 runs."""
    world = World(bus, seed=5)
    world.register()
    client = world.client()
    for _ in range(150):
        world.run(client)
    await bus.outbox.flush()
    service = await start_service(ProjectorService)
    assert (await verify(bus)).ok
    await service.stop()
    return settings.data_dir / FILE


async def test_a_system_goes_on_with_it(settings: Settings, tmp_path: Path) -> None:
    file = settings.data_dir / FILE
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "worked.py", FLOWS / "shown.py")
        for n in range(3):
            await run.until_final(await run.trigger("steps", path=str(tmp_path / "trace"), count=2 + n))
        await run.until_final(await run.trigger("shows"))
        assert (await verify(run.bus)).ok
    before = rows(file)
    assert before["artifacts"]
    age(file)
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "worked.py", name="w2")
        report = await verify(run.bus)
        assert report.ok, report.differences
        await run.until_final(await run.trigger("steps", path=str(tmp_path / "trace"), count=2))
        report = await verify(run.bus)
        assert report.ok, report.differences
        health = await run.system.health("projector")
        assert health is not None
        assert (health.status, health.detail) == ("ready", "")
    after = rows(file)
    for table in ("artifacts", "schedules", "schedule_decisions"):
        assert after[table] == before[table]
    assert set(before["runs"]) < set(after["runs"])
    assert versions(file) == [1, SCHEMA_VERSION]
    check_shape(file)
    outcome = rebuild(file, tmp_path / "rebuilt.duckdb")
    assert (outcome.lines, outcome.failed) == ([], 0)
    assert not (settings.data_dir / FOLDER).exists()


async def test_an_older_backup_is_restored(settings: Settings, tmp_path: Path) -> None:
    saved, elsewhere = tmp_path / "saved", tmp_path / "elsewhere"
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "worked.py")
        done = [await run.trigger("steps", path=str(tmp_path / "trace"), count=2 + n) for n in range(3)]
        for run_id in done:
            await run.until_final(run_id)
        made = await backup(run.bus, saved)
    age(saved / READ_MODEL)
    (saved / SUMS).unlink()
    msgspec.structs.replace(made, schema_version=1).write(saved)
    await restore(saved, msgspec.structs.replace(settings, data_dir=elsewhere))
    async with running(msgspec.structs.replace(settings, data_dir=elsewhere), groups=GROUPS) as run:
        report = await verify(run.bus)
        assert report.ok, report.differences
        assert report.runs == 3
        health = await run.system.health("projector")
        assert health is not None
        assert (health.status, health.detail) == ("ready", "")
    assert versions(elsewhere / FILE) == [1, SCHEMA_VERSION]
    check_shape(elsewhere / FILE)


class Heard(ProjectorService):
    """said: its health, as it is with each percent."""

    said: list[Health]

    def _upgraded_by(self, percent: int) -> None:
        super()._upgraded_by(percent)
        Heard.said.append(self.health())


async def test_its_health_says_how_far_it_is(
    file: Path, bus: Bus, start_service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept(file)
    age(file)
    monkeypatch.setattr("perfect_projector.upgrade.SHARE_EVENTS", 200)
    Heard.said = []
    service = await start_service(Heard)
    assert {health.status for health in Heard.said} == {"degraded"}
    details = [health.detail for health in Heard.said]
    assert details[0] == "the read model is being brought up to date: 0 %"
    assert details[-1] == "the read model is being brought up to date: 100 %"
    assert len(details) > 5
    percents = [int(detail.split()[-2]) for detail in details]
    assert percents == sorted(set(percents))
    assert (service.health().status, service.health().detail) == ("ready", "")
    assert (await verify(bus)).differences == []
    await service.stop()
    check_same(file, before)
    assert versions(file) == [1, SCHEMA_VERSION]
    check_shape(file)


KILLED = """
import asyncio, sys
from pathlib import Path
import structlog
from perfect_projector.duck import Duck
from perfect_projector.upgrade import Upgrade

def say(percent):
    print(percent, flush=True)

async def main():
    duck = Duck(Path(sys.argv[1]))
    assert duck.outdated == 1
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
    await Upgrade(duck, log, say, processes=2, share_events=100).run()

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_killed_at_any_percent_it_begins_again(file: Path, tmp_path: Path) -> None:
    script = tmp_path / "upgrade.py"
    script.write_text(KILLED)
    before = kept(file)
    age(file)
    for percent in (0, 40, 90):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), str(file),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        while line := await process.stdout.readline():
            if int(line) >= percent:
                break
        else:
            pytest.fail((await process.stderr.read()).decode())
        process.kill()
        await process.wait()
        await process.stderr.read()  # until those that fold for it have ended, too
        assert versions(file) == [1]
        assert (file.parent / FOLDER).exists()
    said: list[int] = []
    duck = await Upgrade(Duck(file), structlog.get_logger(), said.append).run()
    await asyncio.sleep(0)
    duck.close()
    assert said[-1] == 100
    check_same(file, before)
    assert not (file.parent / FOLDER).exists()


async def test_it_ends_when_the_process_is_to_end(file: Path) -> None:
    age(file)
    ended = asyncio.Event()
    upgrade = Upgrade(Duck(file), structlog.get_logger(), lambda _: ended.set(), share_events=50)
    running = asyncio.create_task(upgrade.run())
    await ended.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await upgrade.stop()
    assert versions(file) == [1]
    assert not (file.parent / FOLDER).exists()


async def test_a_log_that_is_not_whole_keeps_its_rows(file: Path) -> None:
    age(file)
    with connect(file) as connection:
        connection.execute("INSERT INTO archives VALUES ('events', '2025_01')")
    before = rows(file)
    duck = await Upgrade(Duck(file), structlog.get_logger(), lambda _: None).run()
    assert duck.connection.execute("SELECT DISTINCT deployments FROM flows").fetchall() == [("{}",)]
    duck.close()
    after = rows(file)
    assert after["runs"] == before["runs"]
    assert len(after["flows"]) == len(before["flows"])
    assert versions(file) == [1, SCHEMA_VERSION]
    check_shape(file)


def test_without_room_it_says_how_much_it_takes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfect_runtime.space import Space

    monkeypatch.setattr("perfect_projector.upgrade.space", lambda _: Space(10**12, 1000))
    with pytest.raises(Failed, match=r"no room to bring it up to date: it takes up to [\d.]+ MB for a while"):
        check_room(file)
