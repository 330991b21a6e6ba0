"""Client processes outlive their launcher: killed, it finds them again, and what died meanwhile it starts once."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from eventually import eventually
from launching import GATED, WITHOUT, Launcher, Site, is_alive
from running import running

from perfect_bus.connection import Connection
from perfect_bus.settings import CONNECTION_FILE, Settings
from perfect_launcher import holder
from perfect_launcher.service import LauncherService
from perfect_schemas.events import ProcessExited, ProcessStarted

NAMES = ("left", "right")
HOST = "one"


@pytest.fixture
async def site(settings: Settings, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        running(settings, groups=WITHOUT) as system,
        httpx.AsyncClient(base_url=system.system.url, timeout=30) as http,
    ):
        site = Site(system, http, tmp_path / "hosts")
        try:
            yield site
        finally:
            for one in site.launchers:
                await one.stop()


@pytest.fixture
async def launcher(site: Site) -> Launcher:
    return await site.launcher(HOST, **{name: GATED.format(name=name) for name in NAMES})


def reached(name: str, *steps: int) -> list[str]:
    return [f"{name} reaches {n}" for n in steps]


def said(status: dict, name: str) -> list[str]:
    return [line for line in status["logs"] if line.startswith(f"{name} reaches")]


async def test_killed_it_finds_its_processes_again_and_loses_no_line(
    site: Site, launcher: Launcher, tmp_path: Path
) -> None:
    for name in NAMES:
        for n in range(3):
            os.mkfifo(tmp_path / f"{name}-{n}")
    began = {name: await site.command("start", 202, file=f"{name}.py") for name in NAMES}

    async def are_served() -> bool:
        return len((await site.http.get("/api/clients")).json()) == len(NAMES)

    await eventually(are_served)
    runs = {name: await site.running.trigger(name, folder=str(tmp_path)) for name in NAMES}
    for name in NAMES:
        await site.until(lambda one, name=name: said(one, name) == reached(name, 0), file=f"{name}.py")
    launcher.kill()
    for name in NAMES:  # what they say now nobody hears
        await asyncio.to_thread((tmp_path / f"{name}-0").write_text, "go on")
        log = next((site.running.system.settings.data_dir / "logs").glob(f"client-{name}-*.log"))
        await eventually(lambda log=log, name=name: reached(name, 1)[0] in log.read_text())
    await launcher.start()
    for name in NAMES:
        found = await site.until(lambda one: one["running"], file=f"{name}.py")
        assert (found["pid"], found["restarts"]) == (began[name]["pid"], 0)
        assert found["started_at"] == began[name]["started_at"]
        assert said(found, name) == reached(name, 0, 1)
        await asyncio.to_thread((tmp_path / f"{name}-1").write_text, "go on")
        await site.until(lambda one, name=name: said(one, name) == reached(name, 0, 1, 2), file=f"{name}.py")
        await asyncio.to_thread((tmp_path / f"{name}-2").write_text, "go on")
        run = (await site.running.until_final(runs[name])).run
        assert run is not None
        assert (run.state, run.epoch) == ("COMPLETED", 1)
        again = await site.command("start", 200, file=f"{name}.py")
        assert again["pid"] == began[name]["pid"]
        stopped = await site.command("stop", 200, file=f"{name}.py")
        assert (stopped["running"], stopped["detail"]) == (False, "ended with exit code 0")
        assert not is_alive(began[name]["pid"])
        events = await site.events(HOST, f"{name}.py")
        assert [one.pid for one in events if isinstance(one, ProcessStarted)] == [began[name]["pid"]]
    assert await are_served()  # nobody else ever was


async def test_what_died_while_it_was_away_is_seen_and_started_once(site: Site, launcher: Launcher) -> None:
    first = await site.command("start", 202, file="left.py")
    launcher.kill()
    os.kill(first["pid"], signal.SIGKILL)
    await eventually(lambda: not is_alive(first["pid"]))
    await launcher.start()
    second = await site.until(lambda one: one["running"])
    assert second["pid"] != first["pid"]
    events = await site.events(HOST, "left.py")
    assert [one.pid for one in events if isinstance(one, ProcessStarted)] == [first["pid"], second["pid"]]
    assert [(one.pid, one.code) for one in events if isinstance(one, ProcessExited)] == [(first["pid"], -9)]


async def test_what_was_killed_with_all_that_held_it_is_started_again(site: Site, launcher: Launcher) -> None:
    """As after a crash of the whole host: nobody is left who could say how it ended."""
    first = await site.command("start", 202, file="left.py")
    held_by = int(Path(f"/proc/{first['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    launcher.kill()
    os.kill(held_by, signal.SIGKILL)
    await eventually(lambda: not is_alive(first["pid"]))
    await launcher.start()
    second = await site.until(lambda one: one["running"] and one["pid"] != first["pid"])
    os.kill(
        int(Path(f"/proc/{second['pid']}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL
    )
    third = await site.until(lambda one: one["running"] and one["pid"] not in (first["pid"], second["pid"]))
    events = await site.events(HOST, "left.py")
    assert [(one.pid, one.code) for one in events if isinstance(one, ProcessExited)] == [
        (first["pid"], None),
        (second["pid"], None),
    ]
    assert len([one for one in events if isinstance(one, ProcessStarted)]) == 3
    assert is_alive(third["pid"])


async def test_an_orderly_end_takes_the_processes_along(site: Site, launcher: Launcher) -> None:
    first = await site.command("start", 202, file="left.py")
    await launcher.stop()
    assert not is_alive(first["pid"])
    await launcher.start()
    second = await site.until(lambda one: one["running"])
    assert second["pid"] != first["pid"]


async def test_without_a_launcher_it_is_ended_after_a_while(
    start_service, connection: Connection, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "ALONE_S", 0.2)
    (tmp_path / "left.py").write_text(GATED.format(name="left"))
    settings.data_dir.mkdir(exist_ok=True)
    connection.save(settings.data_dir / CONNECTION_FILE)  # a worker that finds no system ends by itself
    chosen = msgspec.structs.replace(settings, workflows_dir=tmp_path, launcher_host=HOST)
    service = await start_service(LauncherService, settings=chosen)
    runner, _ = await service.request("left.py", "test")
    await eventually(lambda: runner.status(0).running)
    pid = runner.status(0).pid
    assert is_alive(pid)
    await service.context.cancel_spawned()  # as if it had died
    await eventually(lambda: not is_alive(pid))
    assert "no launcher came back within 0.2 s" in runner.output.file.read_text()
