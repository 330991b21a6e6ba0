"""Launchers as processes that the test starts and kills itself, against a system without one."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
from eventually import eventually
from running import Running

from perfect_bus import launchers
from perfect_schemas import ids, subjects

WITHOUT = (("projector",), ("gateway",), ("registry", "engine"))
"""The services of a system that has no launcher."""
GATED = """
import os
from pathlib import Path
from perfect_sdk import flow

@flow(name="{name}")
def gated(folder: str) -> int:
    for n in range(3):
        print(f"{name} reaches {{n}}")
        Path(folder, f"{name}-{{n}}").read_text()
    return os.getppid()
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Launcher:
    """`perfect service launcher`, as on another host."""

    def __init__(self, running: Running, folder: Path, host: str) -> None:
        self.running = running
        self.folder = folder
        self.host = host
        self.log = running.system.settings.data_dir / f"launcher-{host}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def spawn(self) -> None:
        settings = msgspec.structs.replace(
            self.running.system.settings, workflows_dir=self.folder, launcher_host=self.host
        )
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "perfect_runtime", "service", "launcher"],
                env={**os.environ, **settings.environment()},
                stdout=out,
                stderr=out,
            )

    async def start(self) -> None:
        """Returns when it is the launcher of its host, and answers."""
        self.spawn()
        await eventually(self.is_here)
        await self.running.bus.ask(subjects.launcher(self.host, "files"), {}, timeout_s=30)

    async def is_here(self) -> bool:
        known = {one.host: one.presence for one in await launchers.seen(self.running.bus)}
        presence = known.get(self.host)
        return presence is not None and presence.pid == self.pid

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(self.process.wait, 30)


class Site:
    """A system without a launcher of its own, its HTTP, and launchers. `await launcher("name", a="…")`: its folder has a.py."""

    def __init__(self, running: Running, http: httpx.AsyncClient, folder: Path) -> None:
        self.running = running
        self.http = http
        self.folder = folder
        self.launchers: list[Launcher] = []

    def prepare(self, host: str, **files: str) -> Launcher:
        folder = self.folder / host
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        self.launchers.append(Launcher(self.running, folder, host))
        return self.launchers[-1]

    async def launcher(self, host: str, **files: str) -> Launcher:
        made = self.prepare(host, **files)
        await made.start()
        return made

    async def command(self, verb: str, status: int, **wanted: str) -> dict[str, Any]:
        answer = await self.http.post(f"/api/client/{verb}", json=wanted)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def status(self, **which: str) -> dict[str, Any]:
        answer = await self.http.get("/api/client/status", params=which)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, holds: Any, **which: str) -> dict[str, Any]:
        """The one process that is meant, once `holds` of it."""

        async def look() -> Any:
            found = (await self.status(**which))["clients"]
            return found[0] if len(found) == 1 and holds(found[0]) else None

        return await eventually(look, timeout_s=60)

    async def events(self, host: str, file: str) -> list[Any]:
        subject = subjects.process(ids.process_id(host, file))
        return [event for _, event in await self.running.bus.read(subject, stream="DEFS")]
