"""The projector on a disk that runs full: a small tmpfs, so only where the tests may mount one."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from eventually import eventually
from projector_process import Projector
from said_runs import Runs
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_gateway.service import GatewayService
from perfect_projector.continuity import FILE
from perfect_runtime.natsd import NatsServer
from perfect_runtime.space import MB
from perfect_runtime.verify import verify
from perfect_schemas import queries, subjects
from perfect_schemas.commands import Health
from perfect_schemas.errors import ServiceUnavailable

DISK_MB = 140


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no small disk can be mounted here: {made.stderr.decode()}")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


def leave_free(disk: Path, megabytes: int) -> Path:
    """Fill the disk up to so much."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    with ballast.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, room.f_bavail * room.f_frsize - megabytes * MB)
    return ballast


async def health(bus: Bus) -> Health | None:
    try:
        reply = await bus.ask(subjects.health("projector"), {}, timeout_s=2)
    except ServiceUnavailable:
        return None
    return msgspec.json.decode(reply.value, type=Health)


def say_runs(bus: Bus, world: World, count: int) -> None:
    client = world.client()
    for _ in range(count):
        world.run(client)


async def is_degraded(bus: Bus) -> Health | None:
    found = await health(bus)
    return found if found is not None and found.status == "degraded" else None


@pytest.mark.timeout(120)
async def test_it_stops_before_the_disk_is_full_and_goes_on_when_there_is_room(
    bus: Bus, settings: Settings, nats_server: NatsServer, disk: Path
) -> None:
    settings = msgspec.structs.replace(settings, data_dir=disk)
    nats_server.connection.save(settings.connection_file)
    world = World(bus, seed=5)
    world.register()
    say_runs(bus, world, 10)
    await bus.outbox.flush()
    projector = Projector(settings)
    try:
        await projector.start()
        assert (await verify(bus, timeout_s=30)).differences == []

        ballast = leave_free(disk, 20)
        say_runs(bus, world, 10)
        await bus.outbox.flush()
        found = await eventually(lambda: is_degraded(bus))
        assert "20 MB free, 64 MB have to stay free" in found.detail
        assert found.lag > 0

        ballast.unlink()
        assert (await verify(bus, timeout_s=30)).differences == []
        found = await health(bus)
        assert found is not None
        assert (found.status, found.detail) == ("ready", "")
    finally:
        code, written = await projector.end(signal.SIGTERM)
    assert code == 0, written


async def query(bus: Bus) -> None:
    await bus.ask(subjects.query("sql"), queries.Sql(query="FROM v_runs"), timeout_s=20, try_s=20)


@pytest.mark.timeout(120)
async def test_it_does_not_open_its_file_before_there_is_room(
    bus: Bus, settings: Settings, nats_server: NatsServer, disk: Path, start_service: Any
) -> None:
    settings = msgspec.structs.replace(settings, data_dir=disk)
    nats_server.connection.save(settings.connection_file)
    said = Runs(bus)
    for _ in range(10):
        await said.complete(await said.start())
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    ballast = leave_free(disk, 20)
    projector = Projector(settings)
    try:
        await projector.start()
        found = await eventually(lambda: is_degraded(bus))
        assert "20 MB free, 64 MB have to stay free" in found.detail
        assert not (disk / FILE).exists()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30) as client:
            answer = await client.post("/api/sql", json={"query": "SELECT 1"})
        assert answer.status_code == 503
        assert "answers no queries now" in answer.json()["detail"]
        assert "20 MB free" in answer.json()["detail"]

        ballast.unlink()
        assert (await verify(bus, timeout_s=30)).differences == []
        found = await health(bus)
        assert found is not None
        assert (found.status, found.detail) == ("ready", "")

        await query(bus)
        ballast = leave_free(disk, 20)
        await said.complete(await said.start())
        await eventually(lambda: is_degraded(bus))
        await query(bus)  # nothing was committed since: that snapshot is as good as a new one
        for snapshot in (disk / "snapshots").iterdir():
            snapshot.unlink()
        with pytest.raises(ServiceUnavailable, match=r"no snapshot can be made for SQL: .*have to stay free"):
            await query(bus)
        assert not list((disk / "snapshots").iterdir())
        ballast.unlink()
        assert (await verify(bus, timeout_s=30)).differences == []
        await query(bus)
    finally:
        code, written = await projector.end(signal.SIGTERM)
    assert code == 0, written


@pytest.mark.timeout(120)
async def test_a_disk_that_is_full_in_spite_of_it_ends_the_process_and_loses_nothing(
    bus: Bus, settings: Settings, nats_server: NatsServer, disk: Path
) -> None:
    settings = msgspec.structs.replace(settings, data_dir=disk, min_free_bytes=0)
    nats_server.connection.save(settings.connection_file)
    world = World(bus, seed=6)
    world.register()
    say_runs(bus, world, 10)
    await bus.outbox.flush()
    projector = Projector(settings)
    try:
        await projector.start()
        assert (await verify(bus, timeout_s=30)).differences == []

        ballast = leave_free(disk, 1)
        say_runs(bus, world, 500)
        await bus.outbox.flush()
        assert projector.process is not None
        code = await asyncio.wait_for(projector.process.wait(), 25)
        _, written = await projector.end(signal.SIGTERM)
        assert code not in (0, -signal.SIGTERM)
        assert "disk" in written
        assert FILE in written

        await projector.start()  # while it is still full: it may end again, but must not do harm
        await eventually(lambda: has_ended_or_answers(bus, projector), timeout_s=30)
        await projector.end(signal.SIGKILL)
        ballast.unlink()
        await projector.start()
        assert (await verify(bus, timeout_s=30)).differences == []
    finally:
        await projector.end(signal.SIGTERM)


async def has_ended_or_answers(bus: Bus, projector: Projector) -> bool:
    assert projector.process is not None
    return projector.process.returncode is not None or await health(bus) is not None
