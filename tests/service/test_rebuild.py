"""A rebuild from the log equals what was made live; what does not is said, and replaced."""

import subprocess
import sys
from pathlib import Path

import duckdb
import msgspec
import pytest
from running import FLOWS, Running, running

from perfect_bus.settings import Settings
from perfect_projector.duck import Duck
from perfect_projector.rebuild import rebuild, replace
from perfect_runtime.verify import verify
from perfect_schemas import subjects
from perfect_schemas.commands import ReplaceReadModel
from perfect_schemas.errors import InvalidInput, Rejected

PERFECT = Path(sys.executable).with_name("perfect")
GROUPS = (("projector",), ("registry", "engine"))

DAMAGES = [
    ("runs", "UPDATE runs SET state = 'FAILED' WHERE id = (SELECT min(id) FROM runs)", "state is FAILED, rebuilt COMPLETED"),
    ("runs", "DELETE FROM runs WHERE id = (SELECT min(id) FROM runs)", "has no row, rebuilt it has one"),
    ("runs", "INSERT INTO runs SELECT * REPLACE (uuid() AS id) FROM runs LIMIT 1", "has a row, rebuilt it has none"),
    ("runs", "INSERT INTO runs FROM runs LIMIT 1", "some stand there more than once"),
    ("task_runs", "UPDATE task_runs SET duration_ms = 77777 WHERE task_key = 'step-1'", "duration_ms is 77777, rebuilt"),
    ("task_statistics", "UPDATE task_statistics SET m2 = (m2 + 1) * (1 + 1e-8)", "m2 is"),
    ("flow_statistics", "UPDATE flow_statistics SET sample_count = 1", "sample_count is 1, rebuilt 3"),
    ("daily_statistics", "UPDATE daily_statistics SET greatest = greatest + 1", "greatest is"),
    ("flows", "UPDATE flows SET hidden = true", "hidden is true, rebuilt false"),
    ("tasks", "DELETE FROM tasks", "has no row, rebuilt it has one"),
    ("clients", "UPDATE clients SET name = 'somebody'", "name is somebody, rebuilt w1"),
]  # fmt: skip


def damage(file: Path, statement: str) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute(statement)


async def until_read(run: Running) -> None:
    report = await verify(run.bus)
    assert report.ok, report.differences


async def runs(run: Running, trace: Path, count: int = 3) -> None:
    for n in range(count):
        await run.until_final(await run.trigger("steps", path=str(trace), count=2 + n))
    failing = await run.trigger("failing")
    await run.until_final(failing)


@pytest.fixture
async def file(settings: Settings, tmp_path: Path) -> Path:
    """The file of a system that has run some flows, and has ended."""
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "worked.py")
        await runs(run, tmp_path / "trace")
        await until_read(run)
    return settings.data_dir / "perfect.duckdb"


async def test_it_equals_what_was_made_live(file: Path, tmp_path: Path) -> None:
    outcome = rebuild(file, tmp_path / "rebuilt.duckdb")
    assert (outcome.lines, outcome.differences, outcome.failed) == ([], {}, 0)
    assert outcome.events > 30
    for n, (table, statement, told) in enumerate(DAMAGES):
        damaged = tmp_path / f"damaged-{n}.duckdb"
        damaged.write_bytes(file.read_bytes())
        damage(damaged, statement)
        scratch = tmp_path / f"rebuilt-{n}.duckdb"
        outcome = rebuild(damaged, scratch)
        assert list(outcome.differences) == [table], statement
        assert any(line.startswith(table) and told in line for line in outcome.lines), (
            statement,
            outcome.lines,
        )
        duck = Duck(damaged)
        replace(duck, scratch)
        replace(duck, scratch)
        duck.close()
        assert not scratch.exists()
        assert rebuild(damaged, tmp_path / f"again-{n}.duckdb").is_equal, statement


async def test_a_log_that_is_not_whole_is_refused(file: Path, tmp_path: Path) -> None:
    damage(file, "INSERT INTO archives VALUES ('events', '2026_01')")
    with pytest.raises(Rejected, match="2026_01 have left the file"):
        rebuild(file, tmp_path / "rebuilt.duckdb")


def perfect(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PERFECT, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


async def test_beside_a_running_system(file: Path, settings: Settings, tmp_path: Path) -> None:
    import asyncio

    alone = await asyncio.to_thread(perfect, "rebuild", "--data-dir", settings.data_dir)
    assert (alone.returncode, alone.stderr) == (0, "")
    damage(file, "DELETE FROM task_runs")
    damage(file, "UPDATE flow_statistics SET avg_duration_ms = 0")
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "worked.py", name="w2")
        assert not (await verify(run.bus)).ok
        wanted = ReplaceReadModel(file=str(file))
        with pytest.raises(InvalidInput, match="is not in"):
            await run.bus.ask(subjects.command("projector", "replace"), wanted)
        meanwhile = asyncio.create_task(runs(run, tmp_path / "trace", 8))
        said = await asyncio.to_thread(perfect, "rebuild", "--data-dir", settings.data_dir)
        assert said.returncode == 1
        assert "task_runs: 9 rows differ" in said.stdout
        assert "have taken the place" in said.stdout
        await meanwhile
        await until_read(run)
        again = await asyncio.to_thread(perfect, "rebuild", "--data-dir", settings.data_dir, "--json")
        assert again.returncode == 0
        assert msgspec.json.decode(again.stdout)["equal"] is True
        assert not (settings.data_dir / "rebuild").exists()
        assert list((settings.data_dir / "copies").iterdir()) == []
