"""The projector's file after the disk has damaged it: what can be made again from the bus is, the rest is said."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chaos import FULL
from eventually import eventually
from projector_process import Projector
from said_runs import Runs

from perfect_bus import Bus
from perfect_bus.purging import purge
from perfect_bus.settings import Settings
from perfect_projector.continuity import FILE
from perfect_projector.service import ProjectorService
from perfect_runtime.natsd import NatsServer
from perfect_runtime.verify import verify
from perfect_schemas import subjects

CASES = 20 if FULL else 8
LOG = FILE + ".wal"


@pytest.fixture
async def killed(bus: Bus, settings: Settings, nats_server: NatsServer, tmp_path: Path) -> Path:
    """The folder of a projector that was killed: half of what it knows is in the file, half in the write-ahead log."""
    nats_server.connection.save(settings.connection_file)
    said = Runs(bus)
    projector = Projector(settings)
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for n in range(25):
            run_id = await said.start(parameters={"n": n})
            for task in range(n % 4):
                await said.task(run_id, task)
            await said.log(run_id, "hello")
            if n % 5:
                await said.complete(run_id)
        await projector.start()
        assert (await verify(bus, timeout_s=30)).differences == []
        await projector.end(sig)
    kept = tmp_path / "kept"
    shutil.copytree(settings.data_dir, kept)
    assert (kept / LOG).stat().st_size > 10_000
    return kept


def damaged(data: bytes, draw: random.Random) -> tuple[str, bytes]:
    """One bit, or the end."""
    if draw.random() < 0.3:
        length = draw.randrange(len(data))
        return f"cut to {length} bytes", data[:length]
    place, bit = draw.randrange(len(data)), draw.randrange(8)
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return f"bit {bit} of byte {place}", bytes(changed)


@pytest.mark.timeout(180)
async def test_a_damaged_write_ahead_log_loses_nothing(
    bus: Bus, settings: Settings, killed: Path, start_service: Callable[..., Any]
) -> None:
    seed = int(os.environ.get("DAMAGE_SEED", random.randrange(1 << 32)))
    print(f"DAMAGE_SEED={seed}")
    draw = random.Random(seed)
    found_damaged = 0
    for case in range(CASES):
        shutil.rmtree(settings.data_dir)
        shutil.copytree(killed, settings.data_dir)
        log = settings.data_dir / LOG
        what, data = damaged(log.read_bytes(), draw)
        log.write_bytes(data)
        print(f"case {case}: {what}")
        projector = await start_service(ProjectorService)
        report = await verify(bus, timeout_s=30)
        assert report.differences == [], what
        assert report.runs == 50
        assert projector.alarms == {}, "nothing is lost"
        await projector.stop()
        aside = list(settings.data_dir.glob(f"{LOG}.damaged-*"))
        assert [file.read_bytes() for file in aside] in ([], [data]), "kept as it was"
        found_damaged += len(aside)
        assert not list(settings.data_dir.glob(f"{FILE}.damaged-*")), "the file was sound"
    assert found_damaged > 0


@pytest.mark.timeout(120)
async def test_a_damaged_file_is_made_again_as_far_as_the_bus_reaches(
    bus: Bus,
    settings: Settings,
    killed: Path,
    start_service: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = sorted(await bus_runs(bus))
    gone = runs[:10]
    last = (await bus.js.stream_info("EVENTS")).state.last_seq
    purged = 0
    for run_id in gone:
        for subject in (subjects.run(run_id), subjects.task(run_id)):
            purged += await purge(bus, "EVENTS", subject, through=last)
    file = settings.data_dir / FILE
    whole = (killed / FILE).read_bytes()
    for what, data in {
        "cut at a block": whole[: 4096 * 3 + 262_144],
        "cut within one": whole[: len(whole) // 2],
        "no header": b"\0" * 4096 + whole[4096:],
        "empty": b"",
        "another kind of file": b"PAR1" * 5000,
    }.items():
        shutil.rmtree(settings.data_dir)
        shutil.copytree(killed, settings.data_dir)
        file.write_bytes(data)
        capsys.readouterr()
        projector = await start_service(ProjectorService)
        (aside,) = settings.data_dir.glob(f"{FILE}.damaged-*")
        assert aside.read_bytes() == data, what
        await eventually(lambda projector=projector: projector.committed["EVENTS"] >= last)
        alarm = projector.alarms["EVENTS"]
        assert f"let go of {purged:,} events" in alarm, what
        assert aside.name in alarm
        assert "perfect restore" in alarm
        assert f"{FILE} was damaged: it was set aside as {aside.name}" in capsys.readouterr().out
        report = await verify(bus, timeout_s=30)
        assert report.differences == [], what
        assert report.runs == len(runs) - len(gone)
        await projector.stop()


async def bus_runs(bus: Bus) -> set[str]:
    return {
        subject.rpartition(".")[2]
        for subject, _ in (await bus.last_of_each(subjects.ALL_RUNS, stream="EVENTS"))[0].items()
    }
