"""What is on the screens: the runs that somebody looks at, folded as their events come, drawn and sent as fragments.

Every message carries as its id a position up to which *everything* has been sent: what waits for its turn (`_pending`:
what is to be drawn → the first sequence not drawn yet) holds the position back. So a browser that comes back with the
id of its last message misses nothing; it may see something twice, which fragments do not mind.
"""

import asyncio
from collections.abc import Coroutine, Hashable, Iterator
from typing import Any

import structlog

import perfect_ui
from perfect_bus import Bus
from perfect_gateway.ask import Asker
from perfect_gateway.facts import NO_FACTS, FlowBook
from perfect_gateway.folded import lines_of, read_history, without_result
from perfect_gateway.live import fragments
from perfect_gateway.live.follower import Follower
from perfect_gateway.live.pace import Pacer
from perfect_gateway.live.position import Position
from perfect_gateway.live.topics import Audience
from perfect_schemas import codec, queries
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import NotFound, PerfectError
from perfect_schemas.events import FlowRegistered, FlowRemoved, LogBatch, RunScheduled
from perfect_schemas.folds.history import History
from perfect_schemas.views import FlowView, LogView, SummaryView

RUN_S = 0.25
TIMELINE_S = 1.0
FLOW_S = 1.0
SUMMARY_S = 1.0
LOGS_S = 0.25
CROWD_S = 0.002  # added to the interval of a run for each run that waits to be drawn
LOG_BYTES = 4 * 1024 * 1024  # more of one run than this between two drawings: the page is told to reload

log = structlog.get_logger("perfect_gateway")


class LiveRun:
    """waiting: events that come while the run's past is read; None once it is. changed: keys of tasks not drawn."""

    __slots__ = ("changed", "history", "waiting")

    def __init__(self) -> None:
        self.history = History()
        self.waiting: list[tuple[int, Event]] | None = []
        self.changed: set[str] = set()


class Board:
    """A listener of the follower. `audience` says who looks."""

    def __init__(self, bus: Bus, asker: Asker, flows: FlowBook, follower: Follower) -> None:
        self._bus = bus
        self._asker = asker
        self._flows = flows
        self._follower = follower
        self.audience = Audience()
        self.runs: dict[str, LiveRun] = {}
        self._versions: dict[str, str] = {}
        self._lines: dict[str, list[tuple[int, bytes]]] = {}
        self._pending: dict[Hashable, int] = {}
        self._pending_logs: dict[str, int] = {}
        self._pacer = Pacer(self._draw)
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        follower.listen(self)

    @property
    def position(self) -> Position:
        at = self._follower.position
        return Position(
            min(self._pending.values(), default=at.events + 1) - 1,
            min(self._pending_logs.values(), default=at.logs + 1) - 1,
        )

    def close(self) -> None:
        self._pacer.close()
        for task in self._tasks.values():
            task.cancel()

    # -- what happens

    def on_event(self, seq: int, run_id: str, data: bytes) -> None:
        run = self.runs.get(run_id)
        if not self.audience.cares(run_id):
            if run is not None:
                self._forget(run_id)
            return
        event = codec.decode(data)
        if isinstance(event, UnknownEvent):
            return
        event = without_result(event)
        if run is None:
            run = self.runs[run_id] = LiveRun()
            if isinstance(event, RunScheduled) and self._flows.known(event.flow_id) is not None:
                run.waiting = None
            else:
                self._pending[run_id] = seq
                self._begin(("load", run_id), self._load(run_id, run, seq))
                return
        if run.waiting is not None:
            run.waiting.append((seq, event))
            self._pending.setdefault(run_id, seq)
            return
        self._apply(run_id, run, seq, event)

    def on_log(self, seq: int, run_id: str, data: bytes) -> None:
        if not self.audience.has(f"logs:{run_id}"):
            return
        self._lines.setdefault(run_id, []).append((seq, data))
        self._pending_logs.setdefault(run_id, seq)
        self._pacer.ask(("logs", run_id), LOGS_S)

    def on_definition(self, kind: str, data: bytes) -> None:
        if kind == "flow":
            event = codec.decode(data)
            if isinstance(event, FlowRegistered | FlowRemoved):
                self._flows.changed(event.flow_id)
                if isinstance(event, FlowRegistered) and self.audience.all_runs:
                    self._versions[event.flow_id] = event.flow_version
                self._pacer.ask(("flow", event.flow_id), FLOW_S)
        elif kind == "client" and self.audience.has("runs"):
            self._pacer.ask(("summary",), SUMMARY_S)

    def _apply(self, run_id: str, run: LiveRun, seq: int, event: Event) -> None:
        history = run.history
        before = history.run
        for task in history.apply(event, seq):
            run.changed.add(task.key)
        life = history.run
        if life is None:
            return  # what came before it is gone from the bus: there is nothing to draw
        ended = life.state.is_final and not (before is not None and before.state.is_final)
        self._touch(run_id, seq)
        if ended:
            self._flow_changed(life.flow_id, seq)
        if before is not life and self.audience.has("runs"):
            self._pacer.ask(("summary",), SUMMARY_S)

    def _flow_changed(self, flow_id: str, seq: int) -> None:
        """A run of it has ended: its statistics and its last runs are other ones now."""
        self._flows.changed(flow_id)
        self._pacer.ask(("facts", flow_id), FLOW_S)
        if self.audience.has("flows") or self.audience.has(f"flow:{flow_id}"):
            self._pending.setdefault(("flow", flow_id), seq)
            self._pacer.ask(("flow", flow_id), FLOW_S)

    def _touch(self, run_id: str, seq: int) -> None:
        self._pending.setdefault(run_id, seq)
        if self.audience.has(f"run:{run_id}"):
            self._pending.setdefault(("timeline", run_id), seq)
        self._pacer.ask(run_id, RUN_S + CROWD_S * len(self._pending))

    def _forget(self, run_id: str) -> None:
        self.runs.pop(run_id, None)
        for key in (run_id, ("timeline", run_id)):
            self._pending.pop(key, None)
            self._pacer.drop(key)

    def forget_unwatched(self) -> None:
        """After somebody left: nothing is kept for nobody."""
        for run_id in [run_id for run_id in self.runs if not self.audience.cares(run_id)]:
            self._forget(run_id)
        for run_id in [run_id for run_id in self._lines if not self.audience.has(f"logs:{run_id}")]:
            del self._lines[run_id]
            self._pending_logs.pop(run_id, None)
            self._pacer.drop(("logs", run_id))

    # -- reading a run's past

    async def load(self, run_id: str) -> LiveRun:
        """The run as it stands on the streams, followed from here on; `.history.run` is None when they do not know it.

        Raises BusUnavailable.
        """
        run = self.runs.get(run_id)
        if run is None:
            run = self.runs[run_id] = LiveRun()
            self._begin(("load", run_id), self._load(run_id, run, self._follower.position.events, draw=False))
        task = self._tasks.get(("load", run_id))
        if task is not None:
            await asyncio.wait({task})
        return run

    async def _load(self, run_id: str, run: LiveRun, until: int, *, draw: bool = True) -> None:
        try:
            run.history = history = await read_history(self._bus, run_id, until=until)
            if history.run is not None:
                await self._flows.facts(history.run.flow_id)
        except PerfectError:
            self._forget(run_id)
            raise
        waiting, run.waiting = run.waiting or [], None
        if self.runs.get(run_id) is not run:
            return
        if draw:
            run.changed.update(history.tasks)
            self._touch(run_id, until)
            if history.run is not None and history.run.state.is_final:
                self._flow_changed(history.run.flow_id, until)
        for seq, event in waiting:
            self._apply(run_id, run, seq, event)
        if run.history.run is None:
            self._forget(run_id)

    # -- drawing

    def _draw(self, key: Hashable) -> None:
        match key:
            case str():
                self._draw_run(key)
            case ("timeline", str(run_id)):
                self._draw_timeline(run_id)
            case ("logs", str(run_id)):
                self._draw_logs(run_id)
            case ("flow", str(flow_id)):
                self._begin(key, self._draw_flow(flow_id))
            case ("facts", str(flow_id)):
                self._begin(key, self._refresh(flow_id))
            case ("summary",):
                self._begin(key, self._draw_summary())

    def _draw_run(self, run_id: str) -> None:
        run = self.runs.get(run_id)
        self._pending.pop(run_id, None)
        if run is None or run.history.run is None or run.waiting is not None:
            return
        life = run.history.run
        facts = self._flows.known(life.flow_id) or NO_FACTS
        shape = fragments.run_dict(run.history, facts)
        if shape is None:
            return
        changed, run.changed = run.changed, set()
        if self.audience.has(f"run:{run_id}"):
            tasks = sorted((run.history.tasks[key] for key in changed), key=lambda task: task.last_seq)
            rows = fragments.task_rows(fragments.task_dicts(tasks[-fragments.ROWS :], facts))
            html = fragments.run_header(shape) + rows
            if life.state.is_final:
                self._pacer.drop(("timeline", run_id))
                self._pending.pop(("timeline", run_id), None)
                html += fragments.run_timeline(shape, fragments.task_dicts(run.history.tasks.values(), facts))
            else:
                self._pacer.ask(("timeline", run_id), self._timeline_interval(run))
            self.send(f"run:{run_id}", html)
        row = ""
        if self.audience.has("runs"):
            row = fragments.run_row(shape)
            self.send("runs", fragments.run_card(shape) + row)
        if self.audience.has(f"flow:{life.flow_id}"):
            self.send(f"flow:{life.flow_id}", row or fragments.run_row(shape))
        if life.state.is_final and not self.audience.has(f"run:{run_id}"):
            self._forget(run_id)

    @staticmethod
    def _timeline_interval(run: LiveRun) -> float:
        """Longer for runs of many tasks, whose timeline takes that much longer to draw."""
        return TIMELINE_S * max(1.0, len(run.history.tasks) / 1000)

    def _draw_timeline(self, run_id: str) -> None:
        run = self.runs.get(run_id)
        self._pending.pop(("timeline", run_id), None)
        if run is None or run.history.run is None or not self.audience.has(f"run:{run_id}"):
            return
        facts = self._flows.known(run.history.run.flow_id) or NO_FACTS
        shape = fragments.run_dict(run.history, facts)
        if shape is not None:
            tasks = fragments.task_dicts(run.history.tasks.values(), facts)
            self.send(f"run:{run_id}", fragments.run_timeline(shape, tasks))

    def _draw_logs(self, run_id: str) -> None:
        batches = self._lines.pop(run_id, [])
        topic = f"logs:{run_id}"
        if sum(len(data) for _, data in batches) > LOG_BYTES:
            self.audience.send(topic, perfect_ui.signal("resync"))
            batches = []
        if self.audience.has(topic):
            for html, through in log_messages(batches):
                self._pending_logs[run_id] = through + 1
                self.send(topic, html)
        self._pending_logs.pop(run_id, None)

    async def _draw_flow(self, flow_id: str) -> None:
        """Asked of the projector, until it knows what is to be shown."""
        key = ("flow", flow_id)
        seq = self._follower.position.events
        topic = f"flow:{flow_id}"
        if not (self.audience.has("flows") or self.audience.has(topic)):
            self._pending.pop(key, None)
            return
        version = self._versions.pop(flow_id, None)

        def fits(flow: FlowView, as_of: int) -> bool:
            return as_of >= seq and version in (None, flow.version)

        try:
            flow = await self._asker.value_when("flow", queries.FlowDetail(flow=flow_id), FlowView, fits)
            self._flows.changed(flow_id)
            await self._flows.facts(flow_id)
        except NotFound:
            flow = None
        finally:
            self._pending.pop(key, None)
        if flow is not None and not flow.hidden:
            self.send("flows", fragments.flow_card(flow))
            self.send(topic, fragments.flow_statistics(flow))

    async def _refresh(self, flow_id: str) -> None:
        await self._flows.facts(flow_id)

    async def _draw_summary(self) -> None:
        if self.audience.has("runs"):
            seq = self._follower.position.events
            view = await self._asker.value_when(
                "summary", queries.Summary(), SummaryView, lambda _, as_of: as_of >= seq, within_s=0.5
            )
            self.send("runs", fragments.summary(view))

    # -- sending

    def send(self, topic: str, html: str) -> None:
        if self.audience.has(topic):
            self.audience.send(topic, perfect_ui.frame(html, id=str(self.position)))

    def _begin(self, key: Hashable, work: Coroutine[Any, Any, None]) -> None:
        """One at a time for a key: what asks meanwhile comes after."""
        before = self._tasks.get(key)

        async def run() -> None:
            if before is not None:
                await asyncio.wait({before})
            await work

        task = asyncio.create_task(run())
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._done(key, done))

    def _done(self, key: Hashable, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning(
                "a live update was left out", update=str(key), error=f"{type(error).__name__}: {error}"
            )


def log_messages(batches: list[tuple[int, bytes]]) -> Iterator[tuple[str, int]]:
    """The rendered fragments of messages on LOGS, at most 500 lines each (but whole batches), each with the sequence
    through which it goes.
    """
    lines: list[LogView] = []
    for n, (seq, data) in enumerate(batches):
        event = codec.decode(data)
        if isinstance(event, LogBatch):
            lines += lines_of(seq, event)
        if lines and (len(lines) >= fragments.LINES or n == len(batches) - 1):
            yield fragments.log_lines(lines), seq
            lines = []
