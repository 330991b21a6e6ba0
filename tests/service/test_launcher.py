"""The launcher with real worker processes, over HTTP."""

import asyncio
import fcntl
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from eventually import eventually
from running import Running, running

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_schemas import ids, subjects
from perfect_schemas.events import ProcessExited, ProcessStarted, ProcessStopped

FLOW = """
import os
from perfect_sdk import flow

print("imported by", os.getpid())

@flow(name="launched")
def launched() -> int:
    print("runs")
    return os.getppid()
"""
HOST = "here"
BROKEN = "print('about to break')\nraise RuntimeError('broken on purpose')\n"


class System:
    def __init__(self, system: Running, http: httpx.AsyncClient, folder: Path) -> None:
        self.running = system
        self.http = http
        self.folder = folder

    async def command(self, verb: str, file: str, status: int = 200) -> dict[str, Any]:
        answer = await self.http.post(f"/api/client/{verb}", json={"file": file})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def status(self, file: str = "good.py") -> dict[str, Any]:
        answer = await self.http.get("/api/client/status", params={"file": file})
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["clients"]
        return found

    async def until(self, holds: Any, file: str = "good.py", timeout_s: float = 60) -> dict[str, Any]:
        async def look() -> Any:
            status = await self.status(file)
            return status if holds(status) else None

        return await eventually(look, timeout_s=timeout_s)

    async def until_served(self, count: int) -> None:
        """Until so many workers have said hello, of all that ever were."""

        async def look() -> bool:
            clients = (await self.http.get("/api/clients")).json()
            return len(clients) == count

        await eventually(look)

    async def events(self, file: str = "good.py") -> list[Any]:
        subject = subjects.process(ids.process_id(HOST, file))
        return [event for _, event in await self.running.bus.read(subject, stream="DEFS")]


@pytest.fixture
async def system(settings: Settings, tmp_path: Path) -> AsyncIterator[System]:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "good.py").write_text(FLOW)
    (folder / "broken.py").write_text(BROKEN)
    settings = msgspec.structs.replace(settings, workflows_dir=folder, launcher_host=HOST)
    async with (
        running(settings, groups=GROUPS) as system,
        httpx.AsyncClient(base_url=system.system.url, timeout=30) as http,
    ):
        yield System(system, http, folder)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_started_serves_and_is_stopped(system: System) -> None:
    assert (await system.http.get("/api/health")).status_code == 200
    began = await system.command("start", "good.py", 202)
    assert (began["running"], began["wanted"], began["file"], began["restarts"]) == (True, True, "good.py", 0)
    assert began["started_at"]
    await system.until_served(1)
    again = await system.command("start", "./good.py", 200)
    assert again["pid"] == began["pid"]
    run = (await system.running.until_final(await system.running.trigger("launched"))).run
    assert run is not None
    assert (run.state, run.client_name) == ("COMPLETED", "good")
    assert msgspec.json.decode(run.result.value) == began["pid"]
    status = await system.until(lambda one: any("runs" in line for line in one["logs"]))
    assert any("imported by" in line for line in status["logs"])
    assert len((await system.http.get("/api/client/status?logs=1")).json()["clients"][0]["logs"]) == 1
    stopped = await system.command("stop", "good.py")
    assert (stopped["running"], stopped["wanted"], stopped["pid"]) == (False, False, None)
    assert not is_alive(began["pid"])
    assert (await system.command("stop", "good.py"))["detail"] == "ended with exit code 0"
    said = await system.events()
    assert [event.type for event in said] == [
        "process.requested", "process.started", "process.stopped", "process.exited",
    ]  # fmt: skip
    back = await system.command("start", "good.py", 202)
    assert back["running"]
    assert back["pid"] != began["pid"]


async def test_what_crashes_is_started_again(system: System) -> None:
    first = await system.command("start", "good.py", 202)
    await system.until_served(1)
    os.kill(first["pid"], signal.SIGKILL)
    second = await system.until(lambda one: one["running"] and one["pid"] != first["pid"])
    assert second["restarts"] == 1
    assert "launcher: ended (signal 9); starts again in 0.5 s" in second["logs"]
    await system.until_served(2)
    (exited,) = [event for event in await system.events() if isinstance(event, ProcessExited)]
    assert (exited.pid, exited.code, exited.restart_at is not None) == (first["pid"], -9, True)


async def test_what_never_works_is_tried_ever_later_and_says_so(system: System) -> None:
    await system.command("start", "broken.py", 202)
    status = await system.until(lambda one: one["restarts"] >= 1 and not one["running"], "broken.py")
    assert status["wanted"]
    assert "it is started again in" in status["detail"]
    assert any("broken on purpose" in line for line in status["logs"])
    (system.folder / "broken.py").unlink()
    gone = await system.until(lambda one: "cannot be started" in one["detail"], "broken.py")
    assert "there is no file 'broken.py'" in gone["detail"]
    stopped = await system.command("stop", "broken.py")
    assert not stopped["wanted"]
    (system.folder / "broken.py").write_text(FLOW)
    mended = await system.command("start", "broken.py", 202)
    assert mended["running"]


@pytest.mark.parametrize(
    ("file", "status", "says"),
    [
        ("../outside.py", 422, "leads out of the workflows folder"),
        ("/etc/passwd", 422, "leads out of the workflows folder"),
        ("link.py", 422, "leads out of the workflows folder"),
        ("notes.txt", 422, "must end in .py"),
        ("good.py --help", 422, "must end in .py"),
        ("good.py:launched", 422, "is no file name"),
        ("", 422, "is no file name"),
        ("nothing.py", 404, "there is no file 'nothing.py'"),
    ],
)
async def test_nothing_else_is_started(
    start_launcher: Any, file: str, status: int, says: str, tmp_path: Path
) -> None:
    from perfect_schemas.commands import StartProcess
    from perfect_schemas.errors import PerfectError

    launcher = await start_launcher()
    (tmp_path / "outside.py").touch()
    (tmp_path / "flows" / "link.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(PerfectError, match=says) as refused:
        await launcher.bus.ask(
            subjects.launcher(HOST, "start"), StartProcess(file=file, by="test"), timeout_s=30
        )
    assert refused.value.status == status
    assert launcher.runners() == []


async def test_what_may_be_started_is_listed_and_started_only_from_here(system: System) -> None:
    found = (await system.http.get("/api/client/files")).json()
    assert (found["files"], found["complete"]) == (["broken.py", "good.py"], True)
    assert found["folder"] == str(system.folder)
    foreign = {"origin": "http://elsewhere.example", "sec-fetch-site": "cross-site"}
    for path, fields in (
        ("/clients/start", {"file": "good.py"}),
        ("/clients/stop", {"file": "good.py"}),
        ("/concurrency", {"name": "database", "slots": "1"}),
        ("/concurrency/remove", {"name": "database"}),
    ):
        refused = await system.http.post(path, data=fields, headers=foreign)
        assert refused.status_code == 403, path
    assert (await system.http.get("/api/client/status")).json()["clients"] == []
    assert (await system.http.get("/api/engine/limits")).json() == []
    assert (await system.http.post("/clients/hurry", data={"file": "good.py"})).status_code == 404


@pytest.fixture
def start_launcher(start_service: Any, bus: Any, settings: Settings, tmp_path: Path) -> Any:
    from perfect_launcher.service import LauncherService

    async def start() -> Any:
        folder = tmp_path / "flows"
        folder.mkdir(exist_ok=True)
        (folder / "good.py").write_text(FLOW)
        chosen = msgspec.structs.replace(settings, workflows_dir=folder, launcher_host=HOST)
        return await start_service(LauncherService, settings=chosen)

    return start


async def test_wrong_bodies(system: System) -> None:
    assert (await system.http.post("/api/client/start", json={"file": "../x.py"})).status_code == 422
    for body in ({}, {"file": 1}, {"file": "good.py", "command": "rm"}):
        assert (await system.http.post("/api/client/start", json=body)).status_code == 422
    assert (await system.http.post("/api/client/stop", json={"file": "good.py"})).status_code == 404
    assert (await system.http.get("/api/client/status")).json()["clients"] == []


async def test_killed_with_the_services_of_its_process_it_finds_its_processes_again(system: System) -> None:
    first = await system.command("start", "good.py", 202)
    await system.command("start", "broken.py", 202)
    await system.command("stop", "broken.py")
    await system.until_served(1)
    killed = system.running.pid_of("launcher")
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: system.running.pid_now("launcher") not in (None, killed))
    await system.running.until_ready()
    again = await system.until(lambda one: one["running"])
    assert (again["pid"], again["restarts"]) == (first["pid"], 0)
    assert not (await system.status("broken.py"))["running"]
    assert [event.pid for event in await system.events() if isinstance(event, ProcessStarted)] == [
        first["pid"]
    ]
    run = (await system.running.until_final(await system.running.trigger("launched"))).run
    assert run is not None
    assert run.state == "COMPLETED"
    assert msgspec.json.decode(run.result.value) == first["pid"]


async def test_a_launcher_that_ends_takes_its_processes_along_and_still_wants_them(
    start_launcher: Any,
) -> None:
    launcher = await start_launcher()
    runner, new = await launcher.request("good.py", "test")
    assert new
    await runner.spawned.wait()
    pid = runner.status(0).pid
    async with asyncio.timeout(60):
        await launcher.stop()
    assert not is_alive(pid)
    said = [event for _, event in await launcher.bus.read(runner.aggregate.subject, stream="DEFS")]
    assert [event.pid for event in said if isinstance(event, ProcessExited)] == [pid]
    assert not [event for event in said if isinstance(event, ProcessStopped)]
    second = await start_launcher()
    (again,) = second.runners()
    async with asyncio.timeout(60):
        await again.spawned.wait()
    assert again.is_running


async def test_one_process_a_file(start_launcher: Any, settings: Settings) -> None:
    launcher = await start_launcher()
    lock = settings.data_dir / "launcher" / f"{ids.process_id(HOST, 'good.py')}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        runner, _ = await launcher.request("good.py", "test")
        await runner.spawned.wait()
        status = runner.status(10)
        assert not status.running
        assert "another process runs good.py" in status.detail
    await eventually(lambda: runner.is_running)


async def test_asked_for_again_while_it_is_being_stopped(start_launcher: Any) -> None:
    launcher = await start_launcher()
    runner, _ = await launcher.request("good.py", "test")
    await runner.spawned.wait()
    first = runner.status(0).pid
    stopping = asyncio.create_task(launcher.dismiss("good.py", "test"))
    await eventually(lambda: not runner.state.wanted)
    _, new = await launcher.request("good.py", "test")
    assert new
    await stopping
    status = await eventually(lambda: runner.status(0).running and runner.status(0))
    assert status.pid != first
    assert status.wanted
