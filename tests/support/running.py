"""A whole system with a worker, and eyes on the event stream, for tests that kill parts of it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from eventually import eventually
from nats.errors import TimeoutError as NatsTimeout

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime.up import System
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import TriggerRun
from perfect_schemas.events import ClientConnected
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows"
SINGLE = (("registry", "launcher"), ("engine",), ("projector",), ("gateway",))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    """A worker process with its executors."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def executors(self) -> list[int]:
        found: list[int] = []
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            found += [int(pid) for pid in children.read_text().split()]
        return sorted(found)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Running:
    """system: the services. bus: a connection of the test's own."""

    def __init__(self, system: System, bus: Bus) -> None:
        self.system = system
        self.bus = bus
        self.workers: list[Worker] = []

    async def worker(self, *files: Path, name: str = "w1", processes: int = 1, **options: Any) -> Worker:
        """Start a worker and wait until it serves its flows. options: of the command line, `concurrency=1`."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def heard(msg: Any, _: int) -> None:
            event = codec.decode(msg.data)
            if isinstance(event, ClientConnected) and event.name == name and not ready.done():
                ready.set_result(None)

        after = await self._last_definition()
        subscription = await self.bus.follow("DEFS", heard, after=after, subject=subjects.ALL_CLIENTS)
        log = self.system.settings.data_dir / f"worker-{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "perfect_sdk.worker", *map(str, files), "--name", name,
                 "--processes", str(processes),
                 *(part for key, value in options.items() for part in (f"--{key}", str(value)))],
                env={**os.environ, **self.system.settings.environment()},
                stdout=out,
                stderr=out,
            )  # fmt: skip
        worker = Worker(process, log)
        self.workers.append(worker)
        try:
            await asyncio.wait_for(ready, 60)
        except TimeoutError:
            raise AssertionError(f"worker {name} did not come up:\n{log.read_text()}") from None
        finally:
            await subscription.unsubscribe()
        return worker

    async def _last_definition(self) -> int:
        while True:
            with contextlib.suppress(NatsTimeout):  # the server died over it
                return (await self.bus.js.stream_info("DEFS")).state.last_seq

    async def trigger(self, flow: str, **parameters: Any) -> str:
        run_id = ids.uuid7()
        command = TriggerRun(run_id=run_id, flow=flow, parameters=parameters)
        await self.bus.ask(subjects.command("engine", "trigger"), command)
        return run_id

    async def until(self, run_id: str, holds: Callable[[History], bool], timeout_s: float = 90.0) -> History:
        """Fold the run's events from the stream as they come, until `holds`."""
        history = History()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def heard(msg: Any, seq: int) -> None:
            if msg.subject.endswith(run_id) and not done.done():
                history.apply(codec.decode(msg.data), seq)
                if holds(history):
                    done.set_result(None)

        subscription = await self.bus.follow("EVENTS", heard, after=0)
        try:
            await asyncio.wait_for(done, timeout_s)
        except TimeoutError:
            state = history.run.state if history.run else "unknown"
            logs = "\n".join(worker.log.read_text()[-3000:] for worker in self.workers)
            raise AssertionError(
                f"run {run_id} is {state} with {len(history.tasks)} tasks after {timeout_s} s\n{logs}"
            ) from None
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
        return history

    async def until_final(self, run_id: str, timeout_s: float = 90.0) -> History:
        return await self.until(run_id, lambda h: h.run is not None and h.run.state.is_final, timeout_s)

    async def until_ready(self, timeout_s: float = 60.0) -> None:
        """Until every service is, however often it has died."""

        async def is_ready(name: str) -> bool:
            health = await self.system.health(name)
            return health is not None and health.status == "ready"

        for name in self.system.services:
            await eventually(lambda name=name: is_ready(name), timeout_s=timeout_s, every_s=0.1)

    def pid_of(self, service: str) -> int:
        pid = self.pid_now(service)
        assert pid is not None
        return pid

    def pid_now(self, service: str) -> int | None:
        """None while it is down: whoever dies again and again comes back after a pause."""
        if service == "nats-server":
            assert self.system.nats is not None
            return self.system.nats.pid
        return next(child for child in self.system.children if service in child.names).pid


@contextlib.asynccontextmanager
async def running(settings: Settings, *, groups: Any = SINGLE) -> AsyncIterator[Running]:
    settings = msgspec.structs.replace(settings, port=free_port())
    async with System(settings, groups=groups) as system:
        bus = await Bus.connect(system.connection, name="test")
        run = Running(system, bus)
        try:
            yield run
        finally:
            for worker in run.workers:
                worker.stop()
            await bus.close(0.5)
