"""Real worker processes, and eyes on the runs they execute."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import CancelRun, TriggerRun
from perfect_schemas.errors import NotFound
from perfect_schemas.events import ClientConnected
from perfect_schemas.folds.history import History


class WorkerProcess:
    """`python -m perfect_sdk.worker` with a log file."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def executors(self) -> list[int]:
        found: list[int] = []
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            found += [int(pid) for pid in children.read_text().split()]
        return sorted(found)

    def signal(self, number: signal.Signals, *, everybody: bool = False) -> None:
        for pid in [self.pid, *(self.executors() if everybody else [])]:
            os.kill(pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def exit_code(self, timeout_s: float = 60.0) -> int:
        return await asyncio.to_thread(self.process.wait, timeout_s)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Workers:
    def __init__(self, connection: Connection, settings: Settings, folder: Path) -> None:
        self._folder = folder
        self.environment = {
            **os.environ,
            **settings.environment(),
            "PERFECT_NATS_URL": f"nats://{connection.user}:{connection.password}@{connection.url.removeprefix('nats://')}",
        }
        self._started: list[WorkerProcess] = []

    def start(
        self, *targets: Path | str, name: str = "w", processes: int = 2, concurrency: int = 10, **options: Any
    ):
        log = self._folder / f"worker-{name}.log"
        more = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
        with log.open("ab") as out:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "perfect_sdk.worker", *map(str, targets), "--name", name),
                    *("--processes", str(processes), "--concurrency", str(concurrency), *more),
                ],
                env=self.environment,
                stdout=out,
                stderr=out,
                cwd=self._folder,
            )
        worker = WorkerProcess(name, process, log)
        self._started.append(worker)
        return worker

    def stop(self) -> None:
        for worker in self._started:
            worker.stop()

    @property
    def logs(self) -> str:
        return "\n".join(f"-- {worker.name}\n{worker.log[-3000:]}" for worker in self._started)


class Eyes:
    """What tests ask of the system, and wait for on the stream."""

    def __init__(self, bus: Bus, workers: Workers) -> None:
        self.bus = bus
        self._workers = workers

    async def connected(self, name: str = "w", timeout_s: float = 60) -> ClientConnected:
        """Once the worker of that name has said hello."""
        heard: asyncio.Future[ClientConnected] = asyncio.get_running_loop().create_future()

        async def each(msg: Any, _: int) -> None:
            event = codec.decode(msg.data)
            if isinstance(event, ClientConnected) and event.name == name and not heard.done():
                heard.set_result(event)

        subscription = await self.bus.follow("DEFS", each, after=0, subject=subjects.ALL_CLIENTS)
        try:
            return await asyncio.wait_for(heard, timeout_s)
        except TimeoutError:
            raise AssertionError(f"worker {name} did not come up\n{self._workers.logs}") from None
        finally:
            await subscription.unsubscribe()

    async def trigger(self, flow: str, **parameters: Any) -> str:
        run_id = ids.uuid7()
        command = TriggerRun(run_id=run_id, flow=flow, parameters=parameters)
        for _ in range(1000):  # the engine hears of a new flow a moment after the registry
            try:
                await self.bus.ask(subjects.command("engine", "trigger"), command)
            except NotFound:
                await asyncio.sleep(0.02)
            else:
                return run_id
        raise AssertionError(f"the engine does not know {flow}")

    async def cancel(self, run_id: str) -> None:
        await self.bus.ask(subjects.command("engine", "cancel"), CancelRun(run_id=run_id, by="test"))

    async def until(self, run_id: str, holds: Callable[[History], Any], timeout_s: float = 60) -> History:
        """The fold of the run's events as they come, once `holds(history)`."""
        history = History()
        done = asyncio.Event()

        async def each(msg: Any, seq: int) -> None:
            if msg.subject.endswith(run_id) and not done.is_set():
                history.apply(codec.decode(msg.data), seq)
                if holds(history):
                    done.set()

        subscription = await self.bus.follow("EVENTS", each, after=0)
        try:
            await asyncio.wait_for(done.wait(), timeout_s)
        except TimeoutError:
            raise AssertionError(
                f"run {run_id} is {history.run} with {len(history.tasks)} tasks\n{self._workers.logs}"
            ) from None
        finally:
            await subscription.unsubscribe()
        return history

    async def until_state(self, run_id: str, *states: str, timeout_s: float = 60) -> History:
        return await self.until(run_id, lambda h: h.run is not None and h.run.state in states, timeout_s)

    async def until_final(self, run_id: str, timeout_s: float = 60) -> History:
        return await self.until(run_id, lambda h: h.run is not None and h.run.state.is_final, timeout_s)

    async def until_tasks(self, run_id: str, count: int, timeout_s: float = 60) -> History:
        """Once `count` of its tasks have completed."""
        return await self.until(
            run_id, lambda h: sum(task.state == "COMPLETED" for task in h.tasks.values()) >= count, timeout_s
        )
