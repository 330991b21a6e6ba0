"""What is on the screens: the runs that somebody looks at, folded as their events come, drawn and sent as fragments."""

import asyncio
from collections.abc import Hashable
from itertools import islice

from perfect_bus import Bus
from perfect_gateway.ask import Asker
from perfect_gateway.facts import NO_FACTS, FlowBook
from perfect_gateway.folded import Seen, read_history, without_result
from perfect_gateway.live import fragments
from perfect_gateway.live.chores import Chores
from perfect_gateway.live.follower import Follower
from perfect_gateway.live.log_tail import LogTail
from perfect_gateway.live.outlet import Outlet
from perfect_gateway.live.overview import Overview
from perfect_gateway.live.pace import Pacer
from perfect_gateway.live.position import Position
from perfect_gateway.live.schedules import Schedules
from perfect_gateway.live.topics import Audience
from perfect_gateway.reasons import waiting_for
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import PerfectError
from perfect_schemas.events import ArtifactSaved, RunScheduled
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, RunState

RUN_S = 0.1  # of a run whose page somebody has open
ROW_S = 0.25  # of one that is a row on lists: there may be many of either
PRESENCE_S = 0.3  # from a client's announcement until everybody has seen that it is there
TIMELINE_S = 1.0
CROWD_S = 0.002  # added to the interval of a run for each thing that waits to be drawn
LARGE = 1000  # from so many tasks on, a run is drawn the more rarely the more it has
LISTED = (
    500  # of a run with more tasks, pages list some of the first so many, and draw the timeline themselves
)


class LiveRun:
    """artifacts: ids of those not drawn. waiting: events that come while the run's past is read; None once it is. changed: keys of tasks not drawn.
    open: keys of tasks that a page may show as unfinished, whose end must be drawn.
    """

    __slots__ = ("artifacts", "changed", "history", "open", "waiting")

    def __init__(self) -> None:
        self.history = Seen()
        self.artifacts: set[str] = set()
        self.waiting: list[tuple[int, Event]] | None = []
        self.changed: set[str] = set()
        self.open: set[str] = set()

    @property
    def slowness(self) -> float:
        return max(1.0, len(self.history.tasks) / LARGE)

    @property
    def is_large(self) -> bool:
        return len(self.history.tasks) > LISTED

    def begin(self) -> None:
        """Its past is read: what a page that is loaded now may show as unfinished is open."""
        unfinished = (key for key, task in self.history.tasks.items() if task.state not in FINAL_TASK_STATES)
        self.open = set(unfinished) & self.listed() if self.is_large else set(unfinished)

    def listed(self) -> set[str]:
        """The keys of the first tasks, in the order in which they began."""
        return set(islice(self.history.tasks, LISTED))

    def take_changed(self) -> list[TaskLife]:
        """The tasks to draw, oldest change first: no more rows than a page keeps, and all that it shows unfinished. Of a
        large run just those that pages list.
        """
        tasks = sorted((self.history.tasks[key] for key in self.changed), key=lambda task: task.last_seq)
        self.changed = set()
        newest = len(tasks) - (0 if self.is_large else fragments.ROWS)
        shown = self.open | self.listed() if self.is_large else self.open
        drawn = [task for n, task in enumerate(tasks) if n >= newest or task.key in shown]
        for task in drawn:
            if task.state in FINAL_TASK_STATES:
                self.open.discard(task.key)
            else:
                self.open.add(task.key)
        return drawn


class Board:
    """A listener of the follower. `audience` says who looks."""

    def __init__(self, bus: Bus, asker: Asker, flows: FlowBook, follower: Follower) -> None:
        self._bus = bus
        self._flows = flows
        self._outlet = Outlet(follower)
        self._pending = self._outlet.pending
        self._pacer = Pacer(self._draw)
        self._chores = Chores()
        self._overview = Overview(asker, flows, self._outlet, self._pacer, self._chores)
        self._logs = LogTail(self._outlet, self._pacer)
        self._schedules = Schedules(asker, self._outlet, self._pacer, self._chores)
        self.runs: dict[str, LiveRun] = {}
        follower.listen(self)

    @property
    def audience(self) -> Audience:
        return self._outlet.audience

    @property
    def position(self) -> Position:
        return self._outlet.position

    def close(self) -> None:
        self._pacer.close()
        self._chores.close()

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
                run.waiting = None  # it has no past
            else:
                self._pending[run_id] = seq
                self._chores.begin(("load", run_id), self._load(run_id, run, seq))
                return
        if run.waiting is not None:
            run.waiting.append((seq, event))
            self._pending.setdefault(run_id, seq)
            return
        self._apply(run_id, run, seq, event)

    def on_log(self, seq: int, run_id: str, data: bytes) -> None:
        self._logs.heard(seq, run_id, data)

    def on_definition(self, kind: str, data: bytes) -> None:
        if kind == "schedule":
            self._schedules.heard(data)
            return
        self._overview.defined(kind, data)
        if kind == "client":  # a worker that comes or goes may be why a run waits
            for run_id in self.audience.single_runs():
                self._chores.begin(("reason", run_id), self._explain(run_id, PRESENCE_S))

    def _apply(self, run_id: str, run: LiveRun, seq: int, event: Event) -> None:
        history = run.history
        before = history.run
        run.changed.update(task.key for task in history.apply(event, seq))
        if isinstance(event, ArtifactSaved):
            run.artifacts.add(event.artifact_id)
        life = history.run
        if life is None:
            return  # what came before it is gone from the bus: there is nothing to draw
        self._touch(run_id, run, seq)
        if before is not life:
            self._overview.run_moved()
            if life.state.is_final and not (before is not None and before.state.is_final):
                self._overview.run_ended(life.flow_id, seq)

    def _touch(self, run_id: str, run: LiveRun, seq: int) -> None:
        self._pending.setdefault(run_id, seq)
        if self.audience.has(f"timeline:{run_id}"):
            self._pending.setdefault(("timeline", run_id), seq)
        every_s = RUN_S if self.audience.has(f"run:{run_id}") else ROW_S
        self._pacer.ask(run_id, every_s * run.slowness + CROWD_S * len(self._pending))

    def _forget(self, run_id: str) -> None:
        self.runs.pop(run_id, None)
        for key in (run_id, ("timeline", run_id)):
            self._pending.pop(key, None)
            self._pacer.drop(key)

    def forget_unwatched(self) -> None:
        """After somebody left: nothing is kept for nobody."""
        for run_id in [run_id for run_id in self.runs if not self.audience.cares(run_id)]:
            self._forget(run_id)
        self._logs.forget_unwatched()

    # -- reading a run's past

    async def load(self, run_id: str) -> LiveRun:
        """The run as it stands on the streams, followed from here on; `.history.run` is None when they do not know it."""
        run = self.runs.get(run_id)
        if run is None:
            run = self.runs[run_id] = LiveRun()
            until = self._outlet.heard.events
            self._chores.begin(("load", run_id), self._load(run_id, run, until, draw=False))
        await self._chores.wait(("load", run_id))
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
        run.begin()
        if draw:
            run.changed.update(history.tasks)
            run.artifacts.update(history.artifacts)
            self._touch(run_id, run, until)
            self._overview.run_moved()
            if history.run is not None and history.run.state.is_final:
                self._overview.run_ended(history.run.flow_id, until)
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
            case ("schedule", str(schedule_id)):
                self._schedules.draw(schedule_id)
            case ("logs", str(run_id)):
                self._logs.draw(run_id)
            case (str(kind), *names):
                self._overview.draw(kind, *names)

    def _draw_run(self, run_id: str) -> None:
        run = self.runs.get(run_id)
        if run is None or run.history.run is None or run.waiting is not None:
            self._pending.pop(run_id, None)
            return
        life = run.history.run
        facts = self._flows.known(life.flow_id) or NO_FACTS
        shape = fragments.run_dict(run.history, facts)
        if self.audience.has(f"run:{run_id}") and shape is not None:
            # The position is held until the last of these: what it is the id of has then been sent.
            changed = run.take_changed()
            if changed and self.audience.has(f"tasks:{run_id}"):
                rows = fragments.task_rows(fragments.task_dicts(changed, facts))
                self._outlet.send(f"tasks:{run_id}", rows)
            if life.state.is_final:
                self._pacer.drop(("timeline", run_id))
                self._draw_timeline(run_id)
            elif self.audience.has(f"timeline:{run_id}"):
                self._pacer.ask(("timeline", run_id), TIMELINE_S * run.slowness)
            else:
                self._pending.pop(("timeline", run_id), None)
        self._pending.pop(run_id, None)
        if shape is None:
            return
        if self.audience.has(f"run:{run_id}"):
            html = fragments.run_header(shape)
            html += fragments.artifacts(run.history.artifacts[one] for one in run.artifacts)
            run.artifacts = set()
            self._outlet.send(f"run:{run_id}", html)
            if life.state is RunState.PENDING:
                self._chores.begin(("reason", run_id), self._explain(run_id))
        row = ""
        if self.audience.has("runs"):
            row = fragments.run_row(shape)
            self._outlet.send("runs", fragments.run_card(shape) + row)
        if self.audience.has(f"flow:{life.flow_id}"):
            self._outlet.send(f"flow:{life.flow_id}", row or fragments.run_row(shape))
        if life.state.is_final and not self.audience.has(f"run:{run_id}"):
            self._forget(run_id)

    async def _explain(self, run_id: str, after_s: float = 0.0) -> None:
        """Why a queued run waits, which the engine knows better than the run's own events."""
        await asyncio.sleep(after_s)
        life = (await self.load(run_id)).history.run
        if life is None or life.state is not RunState.PENDING:
            return
        sentence = await waiting_for(self._bus, run_id)
        run = self.runs.get(run_id)
        if sentence is None or run is None or run.history.run is not life:
            return  # it has moved on: what is drawn of that says why it waits now
        shape = fragments.run_dict(run.history, self._flows.known(life.flow_id) or NO_FACTS)
        if shape is not None:
            self._outlet.send(f"run:{run_id}", fragments.run_header({**shape, "waiting_for": sentence}))

    def _draw_timeline(self, run_id: str) -> None:
        run = self.runs.get(run_id)
        self._pending.pop(("timeline", run_id), None)
        topic = f"timeline:{run_id}"
        if run is None or run.history.run is None or not self.audience.has(topic):
            return
        if run.is_large:  # it has grown while somebody looked: a page of a large run draws it in the browser
            self._outlet.resync(topic)
            return
        facts = self._flows.known(run.history.run.flow_id) or NO_FACTS
        shape = fragments.run_dict(run.history, facts)
        if shape is not None:
            tasks = fragments.task_dicts(run.history.tasks.values(), facts)
            self._outlet.send(topic, fragments.run_timeline(shape, tasks))
