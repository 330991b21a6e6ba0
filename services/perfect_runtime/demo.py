"""The demo: a system, a worker with the examples, one run of each flow, watched on the terminal, then verified."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime import child
from perfect_runtime.up import System
from perfect_runtime.verify import Report, verify
from perfect_schemas import codec, queries, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.errors import Failed
from perfect_schemas.events import ClientConnected
from perfect_schemas.folds.history import History
from perfect_schemas.progress import PlannedTask, progress
from perfect_schemas.states import FINAL_TASK_STATES
from perfect_schemas.views import FlowView

if TYPE_CHECKING:
    from nats.aio.msg import Msg

WORKER_NAME = "demo"
READY_S = 30.0
RUNS_S = 300.0
STATE_STYLES = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "FAILED": "red",
    "CRASHED": "red",
    "CANCELLED": "yellow",
}


class Demo:
    """Create, `await run()` (the exit code), look at `url`, `await stop()` always."""

    def __init__(self, settings: Settings, examples: list[Path]) -> None:
        self._examples = examples
        self._system = System(settings)
        self._console = Console()
        self._worker: subprocess.Popen[bytes] | None = None
        self._bus: Bus | None = None
        self._histories: dict[str, History] = {}
        self._flows: dict[str, FlowView] = {}
        self.url = self._system.url

    async def run(self) -> int:
        """0 when every run completed and the read model agrees with the event log, else 1."""
        started = time.monotonic()
        await self._system.start()
        await self._system.wait_ready()
        self._console.print(
            f"[bold]Perfect[/] is up after {time.monotonic() - started:.1f} s at [link]{self.url}[/]"
        )
        self._bus = bus = await Bus.connect(self._system.connection, name="perfect demo")
        flow_ids = await self._start_worker(bus)
        flows = msgspec.json.decode(
            (await bus.ask(subjects.query("flows"), queries.FlowList())).value, type=list[FlowView]
        )
        self._flows = {flow.id: flow for flow in flows}
        for flow_id in flow_ids:
            triggered = await asyncio.to_thread(self._trigger, flow_id)
            self._histories[triggered["id"]] = History()
        await self._watch(bus)
        report = await verify(bus)
        self._console.print(self._table(final=True))
        return self._conclude(report)

    async def stop(self) -> None:
        """End the worker and the system within 5 s."""
        if self._bus is not None:
            with contextlib.suppress(Exception):
                await self._bus.close(0.5)
        if self._worker is not None:
            await asyncio.to_thread(child.end, self._worker, 3)
        await self._system.stop()

    async def _start_worker(self, bus: Bus) -> list[str]:
        """Start it and return the ids of the flows it serves, once it does."""
        ready: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        before = (await bus.js.stream_info("DEFS")).state.last_seq

        async def heard(msg: "Msg", _: int) -> None:
            event = codec.decode(msg.data)
            if isinstance(event, ClientConnected) and event.name == WORKER_NAME and not ready.done():
                ready.set_result(event.flows)

        subscription = await bus.follow("DEFS", heard, after=before, subject=subjects.ALL_CLIENTS)
        log = self._system.settings.data_dir / "logs" / "demo-worker.log"
        log.parent.mkdir(exist_ok=True, parents=True)
        command = [sys.executable, "-m", "perfect_sdk.worker", *self._examples, "--name", WORKER_NAME]
        with log.open("ab") as out:
            self._worker = child.spawn(
                command,
                env={**os.environ, **self._system.settings.environment()},
                output=out,
                death_signal=signal.SIGTERM,
            )
        ended = asyncio.ensure_future(child.exited(self._worker))
        done, _ = await asyncio.wait({ready, ended}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        await subscription.unsubscribe()
        ended.cancel()
        if ready not in done:
            raise Failed(f"the example worker did not become ready; its output is in {log}")
        return ready.result()

    def _trigger(self, flow_id: str) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{self.url}/api/engine/trigger/{flow_id}",
            data=json.dumps({"tags": ["demo"]}).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return json.load(response)

    async def _watch(self, bus: Bus) -> None:
        """Fold the runs' events as they come and draw them until all have ended."""
        finished = asyncio.Event()

        async def heard(msg: "Msg", seq: int) -> None:
            history = self._histories.get(msg.subject.rpartition(".")[2])
            event = codec.decode(msg.data)
            if history is not None and not isinstance(event, UnknownEvent):
                history.apply(event, seq)
                if all(h.run is not None and h.run.state.is_final for h in self._histories.values()):
                    finished.set()

        subscription = await bus.follow("EVENTS", heard, after=0)
        try:
            with Live(
                get_renderable=self._table, console=self._console, refresh_per_second=8, transient=True
            ):
                await asyncio.wait_for(finished.wait(), RUNS_S)
        except TimeoutError:
            raise Failed(f"the example runs have not ended after {RUNS_S:.0f} s") from None
        finally:
            await subscription.unsubscribe()

    def _table(self, *, final: bool = False) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("flow", "state", "progress", "tasks", "seconds"):
            table.add_column(column, justify="right" if column in ("tasks", "seconds") else "left")
        for history in self._histories.values():
            run = history.run
            if run is None:
                continue
            share = 1.0 if run.state == "COMPLETED" else self._progress(history)
            finished = sum(task.state in FINAL_TASK_STATES for task in history.tasks.values())
            style = STATE_STYLES.get(run.state, "white")
            table.add_row(
                run.flow_name,
                f"[{style}]{run.state}[/]",
                f"[{style}]{'━' * round(share * 24)}[/][dim]{'━' * (24 - round(share * 24))}[/] {share:4.0%}",
                f"{finished}/{len(history.tasks)}",
                f"{(run.duration_ms or 0) / 1000:.2f}" if run.duration_ms is not None else "",
            )
            if final and run.error is not None:
                table.add_row(f"  [red]{run.error.kind.rpartition(':')[2]}: {run.error.message}[/]")
        return table

    def _progress(self, history: History) -> float:
        flow = self._flows.get(history.run.flow_id) if history.run else None
        plan = [PlannedTask(task.id, task.weight) for task in flow.tasks] if flow else []
        seen: dict[str, int] = {}
        finished: dict[str, float] = {}
        for task in list(history.tasks.values()):
            seen[task.task_id] = seen.get(task.task_id, 0) + 1
            if task.state in FINAL_TASK_STATES:
                finished[task.task_id] = finished.get(task.task_id, 0) + 1
        return progress(plan, seen, finished)

    def _conclude(self, report: Report) -> int:
        completed = all(h.run is not None and h.run.state == "COMPLETED" for h in self._histories.values())
        self._console.print(
            f"\n{report.events:,} events, {report.runs} runs, {report.task_runs} task runs and "
            f"{report.log_lines:,} log lines on the streams; the read model "
            + ("[green]agrees with every one of them[/]" if report.ok else "[red]differs[/]:")
        )
        for difference in report.differences[:20]:
            self._console.print(f"  {difference}", markup=False)
        return 0 if completed and report.ok else 1
