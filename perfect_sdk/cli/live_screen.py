"""A run live on a terminal: its progress, its tasks and when it will be done below, its log lines and warnings above."""

import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from perfect_schemas.errors import PerfectError
from perfect_sdk.cli.exits import Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import STATE_STYLES, show_duration

REFRESHES_A_SECOND = 4
LOOKS_S = (0.3, 0.5, 1.0, 3.0)  # so long after something happened, one after the other, the run is asked for
ROOM_FOR_THE_REST = 6  # lines of the terminal that are no tasks
BAR = 22  # columns
STATES = {
    "task.queued": "PENDING",
    "task.started": "RUNNING",
    "task.retrying": "RETRYING",
    "task.completed": "COMPLETED",
    "task.adopted": "COMPLETED",
    "task.cached": "CACHED",
    "task.failed": "FAILED",
    "task.skipped": "SKIPPED",
}
SIGNS = {
    "COMPLETED": "✓",
    "CACHED": "✓",
    "FAILED": "✗",
    "RUNNING": "▶",
    "RETRYING": "↻",
    "PENDING": "·",
    "SKIPPED": "–",
}
LEVEL_STYLES = {10: "dim", 30: "yellow", 40: "red", 50: "bold red"}


class Row(msgspec.Struct, kw_only=True):
    """A task run. at: of its last event."""

    key: str
    state: str
    at: datetime
    attempt: int = 1
    duration_ms: float | None = None
    note: str = ""


class LiveScreen:
    def __init__(self, gateway: Gateway, console: Console | None = None) -> None:
        self._gateway = gateway
        self._console = console or Console(highlight=False)
        self._run: dict[str, Any] = {}
        self._rows: dict[str, Row] = {}
        self._happened = threading.Event()
        self._closed = threading.Event()
        self._live: Live | None = None
        self._looking = threading.Thread(target=self._look, daemon=True)

    def begin(self, run: dict[str, Any]) -> None:
        self._run = run
        self._console.print(Text.assemble((run["flow_name"], "bold"), f"  run {run['id']}"))
        self._live = Live(
            get_renderable=self._picture,
            console=self._console,
            refresh_per_second=REFRESHES_A_SECOND,
            transient=True,
        )
        self._live.start()
        self._looking.start()

    def hear(self, event: dict[str, Any]) -> None:
        kind = event.get("type", "")
        if kind == "log.written":
            for line in event["lines"]:
                level = line["level"]
                self._say(f"  {line['message']}", LEVEL_STYLES.get(level - level % 10, ""))
            return
        if kind.startswith("performance."):
            self._say(f"! {event['message']}", "red" if event.get("severity") == "critical" else "yellow")
        elif kind in STATES:
            self._task(kind, event)
        self._happened.set()

    def close(self) -> None:
        """May be called twice. What stays on the terminal is how each task ended."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._happened.set()
        if self._live is not None:
            self._live.stop()
            self._console.print(self._tasks())

    def _task(self, kind: str, event: dict[str, Any]) -> None:
        key = event["task_key"]
        rows = dict(self._rows)  # another thread draws the ones that were
        rows[key] = Row(
            key=key,
            state=STATES[kind],
            at=datetime.fromisoformat(event["at"]),
            attempt=event.get("attempt", 1),
            duration_ms=event.get("duration_ms"),
            note=event.get("error", {}).get("message", "").partition("\n")[0],
        )
        self._rows = rows

    def _look(self) -> None:
        """What the events do not say: how far, until when, why not. The read model is behind them: so more than once."""
        while not self._closed.is_set():
            self._happened.wait()
            self._happened.clear()
            for pause_s in LOOKS_S:
                if self._closed.wait(pause_s):
                    return
                with suppress(Exit, PerfectError, OSError):  # those who follow the stream say what is wrong
                    self._run = self._gateway.get(f"/api/engine/runs/{self._run['id']}")
                if self._happened.is_set():
                    break

    def _say(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))

    def _picture(self) -> Group:
        run = self._run
        facts = Text.assemble((run["state"], STATE_STYLES.get(run["state"], "")))
        facts.append(f"  {run['progress']:.0f} %")
        if run.get("tasks_total"):
            facts.append(f"  {run['tasks_done']} of {run['tasks_total']} tasks")
        if run.get("start_time"):
            took = run["duration_ms"] if run.get("end_time") else _since(run["start_time"])
            facts.append(f"  {show_duration(took)}")
        if run.get("eta_p50"):
            left = -_since(run["eta_p50"])
            facts.append(f"  about {show_duration(left)} left" if left > 0 else "  about to be done")
        bar = Table.grid(padding=(0, 2, 0, 0))
        bar.add_row(ProgressBar(total=100, completed=run["progress"], width=BAR), facts)
        parts: list[Any] = [self._tasks(), bar]
        if run.get("waiting_for"):
            parts.append(Text(run["waiting_for"], style="yellow"))
        return Group(*parts)

    def _tasks(self) -> Table:
        """Those that fit: what has not ended first, then what ended last."""
        rows = list(self._rows.values())
        room = max(self._console.height - ROOM_FOR_THE_REST, 3)
        shown = sorted(rows, key=lambda row: (row.state in ("RUNNING", "RETRYING", "FAILED"), row.at))[-room:]
        chosen = {row.key for row in shown}
        table = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis")
        if len(rows) > len(shown):
            table.add_row("…", f"and {len(rows) - len(shown)} more", "", "")
        for row in rows:
            if row.key in chosen:
                ms = row.duration_ms if row.state != "RUNNING" else _since(row.at)
                attempt = f"try {row.attempt}" if row.attempt > 1 else ""
                table.add_row(
                    Text(SIGNS[row.state], style=STATE_STYLES.get(row.state, "")),
                    Text(row.key),
                    Text("" if ms is None else show_duration(max(ms, 0.0))),
                    Text(" ".join(filter(None, (attempt, row.note))), style="red" if row.note else ""),
                )
        return table


def _since(at: str | datetime) -> float:
    """Ms."""
    then = datetime.fromisoformat(at) if isinstance(at, str) else at
    return (datetime.now(UTC) - then).total_seconds() * 1000
