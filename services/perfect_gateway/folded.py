"""Runs folded from their own subjects: for what is younger than the read model, and for what changes while somebody looks.

Results are left out of the fold: no page shows them, and a run of a thousand tasks may carry megabytes.
"""

from collections import Counter

import msgspec

from perfect_bus import Bus
from perfect_gateway.facts import FlowFacts
from perfect_schemas import codec, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event, utc_now
from perfect_schemas.events import (
    ArtifactSaved,
    LogBatch,
    RunCompleted,
    TaskAdopted,
    TaskCached,
    TaskCompleted,
)
from perfect_schemas.folds.artifact import ArtifactLife
from perfect_schemas.folds.artifact import evolve as evolve_artifact
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife, executed_ms
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.forecast import STEPS, outlook, step_of
from perfect_schemas.progress import progress
from perfect_schemas.states import FINAL_TASK_STATES, TaskState
from perfect_schemas.views import (
    LogView,
    RunView,
    TaskRunView,
    level_name,
    run_view,
    task_run_view,
    with_outlook,
    with_queues,
)

SHOWN_BYTES = 64 * 1024
_WITH_RESULT = (RunCompleted, TaskCompleted, TaskCached, TaskAdopted)


class Seen(History):
    """A run as a page shows it: with its artifacts, by id."""

    __slots__ = ("artifacts",)

    def __init__(self) -> None:
        super().__init__()
        self.artifacts: dict[str, ArtifactLife] = {}

    def apply(self, event: Event, seq: int) -> list[TaskLife]:
        if isinstance(event, ArtifactSaved):
            self.seq = seq
            life = evolve_artifact(self.artifacts.get(event.artifact_id), event, seq)
            self.artifacts[life.id] = life
            return []
        return super().apply(event, seq)


def without_result(event: Event) -> Event:
    """What is folded to be looked at keeps no results, except the run's own when that is short enough to be shown."""
    if (
        isinstance(event, RunCompleted)
        and event.result is not None
        and event.result.size_bytes <= SHOWN_BYTES
    ):
        return event
    if isinstance(event, ArtifactSaved) and event.data.size_bytes > SHOWN_BYTES:
        data = msgspec.structs.replace(event.data, value=msgspec.Raw(b"null"))
        return msgspec.structs.replace(event, data=data)
    if isinstance(event, _WITH_RESULT) and event.result is not None:
        return msgspec.structs.replace(event, result=None)
    return event


async def read_history(bus: Bus, run_id: str, *, until: int | None = None, results: bool = False) -> Seen:
    """The fold of what stands on the run's two subjects, up to the sequence `until`. `.run` is None for an unknown run.

    Raises BusUnavailable.
    """
    events = await bus.read_raw(subjects.run(run_id), until=until)
    history = Seen()
    if not events:
        return history
    events += await bus.read_raw(subjects.task(run_id), until=until)
    events.sort()
    for seq, _, data in events:
        event = codec.decode(data)
        if not isinstance(event, UnknownEvent):
            history.apply(event if results else without_result(event), seq)
    return history


def run_of(history: History, facts: FlowFacts) -> RunView | None:
    run = history.run
    if run is None:
        return None
    seen: Counter[str] = Counter()
    finished: Counter[str] = Counter()
    queues: set[str] = set()
    for task in history.tasks.values():
        seen[task.task_id] += 1
        if task.state is TaskState.PENDING and task.queue is not None:
            queues.add(task.queue)
        if task.state in FINAL_TASK_STATES:
            finished[task.task_id] += 1
    fraction = progress(facts.plan, seen, finished)
    view = run_view(
        run,
        progress=fraction,
        tasks_done=finished.total(),
        tasks_total=expected_count(run, facts, seen),
        expected_ms=facts.run_expected_ms,
    )
    if run.executing_since is not None and facts.curves:
        step = step_of(fraction)
        reached_ms = _reached_ms(history, facts, fraction, step)
        view = with_outlook(view, outlook(run, step, reached_ms, facts.curves), utc_now())
    return with_queues(view, queues)


def _reached_ms(history: History, facts: FlowFacts, fraction: float, step: int) -> int:
    """How long the run had executed when so many of its tasks had finished that it was at this step."""
    run = history.run
    if run is None or step == 0:
        return 0
    done = [task for task in history.tasks.values() if task.state in FINAL_TASK_STATES and task.end_time]
    done.sort(key=lambda task: task.end_time)  # type: ignore[arg-type,return-value]
    whole = sum(facts.weights.get(task.task_id, 1.0) for task in done)
    reached = 0.0
    for task in done:
        reached += facts.weights.get(task.task_id, 1.0)
        if reached * fraction / whole >= step / STEPS - 1e-9:
            return executed_ms(run, max(task.end_time, run.executing_since))  # type: ignore[type-var]
    return 0


def expected_count(run: RunLife, facts: FlowFacts, seen: Counter[str]) -> int:
    """How many task runs the run will have: what is planned, and what has begun beyond it."""
    if run.state == "COMPLETED":
        return seen.total()
    planned = {task.task_id: task.expected_count for task in facts.plan}
    extra = sum(max(count - planned.get(task_id, 0), 0) for task_id, count in seen.items())
    return max(round(sum(planned.values()) + extra), seen.total())


def task_of(task: TaskLife, facts: FlowFacts) -> TaskRunView:
    return task_run_view(
        task, weight=facts.weights.get(task.task_id, 1.0), expected_ms=facts.expected_ms.get(task.task_id)
    )


def active_of(history: History, facts: FlowFacts) -> list[dict[str, object]]:
    """The running tasks as browsers animate them: each one's share (0–1) of the run's whole weight."""
    running = [
        task for task in history.tasks.values() if task.state == "RUNNING" and task.start_time is not None
    ]
    if not running:
        return []
    seen = Counter(task.task_id for task in history.tasks.values())
    planned = {task.task_id for task in facts.plan}
    whole = sum(task.weight * max(task.expected_count, seen[task.task_id]) for task in facts.plan)
    whole += sum(count for task_id, count in seen.items() if task_id not in planned)
    return [
        {
            "share": facts.weights.get(task.task_id, 1.0) / whole,
            "start_time": task.start_time,
            "expected_ms": facts.expected_ms[task.task_id],
            "progress": 0,
        }
        for task in running[:50]
        if task.task_id in facts.expected_ms
    ]


def lines_of(seq: int, batch: LogBatch) -> list[LogView]:
    """The lines of one message on LOGS, as the projector shows them."""
    return [
        LogView(
            seq=seq,
            n=n,
            at=line.at,
            level=level_name(line.level),
            message=line.message,
            logger=line.logger,
            task_run_id=line.task_run_id,
            task_key=line.task_key,
        )
        for n, line in enumerate(batch.lines)
    ]
