"""What people and programs see: the shapes of the REST API, which the projector answers with.

Times are ISO 8601 UTC, durations ms, progress 0–100.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import msgspec

from perfect_schemas.envelope import ErrorInfo
from perfect_schemas.events.flow import Deployment, TaskDefinition
from perfect_schemas.events.run import OpenWait
from perfect_schemas.folds.run import RunLife, is_paused_from_outside, open_waits
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.forecast import MEDIAN, NEARLY_ALL, Curve, Outlook
from perfect_schemas.waiting_words import waiting_sentence


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """duration_ms: of the run itself, from its first start. queued_ms: from when it was due (created, when no
    later time was given) to that.

    expected_ms: mean duration by history, from three samples on. tasks_done, tasks_total: task runs finished and
    expected. waiting_for: one sentence, when it waits or is to pause. origin_run_id: of a fork, the run that it
    began with. waits_for, input_schema: of a paused run, what it waits for, and of which shape the input is to be; of
    several waits side by side, the first that a person can end. waits: all of them.
    pausing_by: who wants a RUNNING run to pause, or has paused one that is PAUSED.
    eta_p50, eta_p90: when a RUNNING run will be done, by the runs before it: as likely sooner as later, and with 90 %;
    None when they are too few, or when it takes longer than all of them. outlook: what these follow from as time
    passes.
    """

    id: str
    flow_id: str
    flow_name: str
    flow_version: str | None
    state: str
    progress: float
    created_at: datetime
    start_time: datetime | None
    end_time: datetime | None
    duration_ms: int | None
    queued_ms: int | None
    configuration: str
    parameters: dict[str, Any]
    tags: list[str]
    client_name: str | None
    attempt: int
    error: ErrorInfo | None
    waiting_for: str | None
    performance_warning: dict[str, str] | None
    tasks_done: int
    tasks_total: int
    expected_ms: float | None = None
    name: str | None = None
    origin: str = "api"
    parent_run_id: str | None = None
    origin_run_id: str | None = None
    waits_for: str | None = None
    input_schema: dict[str, Any] | None = None
    waits: list[OpenWait] = []
    pausing_by: str | None = None
    eta_p50: datetime | None = None
    eta_p90: datetime | None = None
    outlook: Outlook | None = None
    result: Any = None
    deployment: str | None = None
    schedule_id: str | None = None
    scheduled_for: datetime | None = None
    backfill: bool = False


class TaskRunView(msgspec.Struct, frozen=True, kw_only=True):
    """origin_run_id: the run whose result was taken over; the task did not run in this one.
    queue: of a distributed task, whose workers run it. run_name: what people call it (`task_run_name`), if anything.
    state_name, state_message: of a state with a name of its own that it returned. tags: its own and those around its
    call. after: keys of the tasks of its run that its inputs and `wait_for` came from.
    """

    id: str
    run_id: str
    task_id: str
    task_key: str
    name: str
    state: str
    progress: float
    start_time: datetime | None
    end_time: datetime | None
    duration_ms: int | None
    attempt: int
    performance_warning: dict[str, str] | None
    error: ErrorInfo | None = None
    expected_ms: float | None = None
    weight: float = 1.0
    origin_run_id: str | None = None
    queue: str | None = None
    run_name: str | None = None
    state_name: str | None = None
    state_message: str | None = None
    tags: list[str] = []
    after: list[str] = []


class ArtifactView(msgspec.Struct, frozen=True, kw_only=True):
    """type: markdown, link, table, progress or image. data: JSON, as in `artifact.saved`; null when it is so large that
    it is kept in the object store, under the name `ref`. Its id is the same however often the run is resumed.
    """

    id: str
    run_id: str
    type: str
    key: str | None
    description: str | None
    data: msgspec.Raw
    created_at: datetime
    updated_at: datetime
    task_run_id: str | None = None
    task_key: str | None = None
    ref: str | None = None
    size_bytes: int = 0


class LogView(msgspec.Struct, frozen=True, kw_only=True):
    """seq: sequence on LOGS; n: place in its batch. Lines are ordered by (seq, n)."""

    seq: int
    n: int
    at: datetime
    level: str
    message: str
    logger: str
    task_run_id: str | None
    task_key: str | None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in ms. Percentiles are within 1 %."""

    sample_count: int
    avg_ms: float
    min_ms: float
    max_ms: float
    std_dev_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


class ForecastView(msgspec.Struct, frozen=True, kw_only=True):
    """How good the forecasts of a flow's runs were that completed in the last days: by how much the one made at the
    start (and when half of the progress was reached) was off, in percent of what the run took, and how many were done
    by the time at which nine of ten should be.
    """

    runs: int
    median_error_percent: float
    within_p90_percent: float
    half_median_error_percent: float | None = None


class StatisticView(msgspec.Struct, frozen=True, kw_only=True):
    """id: task id, or flow id with task_name None. std_dev_ms: sample standard deviation, None below two samples.

    p50_ms, p95_ms, p99_ms: of the last days, within 1 %; None when nothing completed in them.
    configuration, flow_version, day: which part the row is of, when it was asked for by one of them; last_updated is
    a day then. queued, launch, forecast: of flows.
    """

    id: str
    flow_name: str
    task_name: str | None
    avg_duration_ms: float
    m2: float
    std_dev_ms: float | None
    sample_count: int
    min_duration_ms: float | None
    max_duration_ms: float | None
    last_updated: datetime
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    configuration: str | None = None
    flow_version: str | None = None
    day: date | None = None
    queued: Distribution | None = None
    launch: Distribution | None = None
    forecast: ForecastView | None = None


class TrendDay(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took on a day (UTC)."""

    day: date
    p50_ms: float | None
    p95_ms: float | None


class StatisticsView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """trends: id → its days, when they were asked for."""

    tasks: list[StatisticView]
    flows: list[StatisticView]
    trends: dict[str, list[TrendDay]] = {}


class RecentRun(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: str
    start_time: datetime | None
    duration_ms: int | None


class FlowView(msgspec.Struct, frozen=True, kw_only=True):
    """recent: its last 20 runs, newest first. expected_counts: task id → how often it runs in one run, by history.
    curves: how the last completed runs progressed, see `forecast.Curve`; of one flow alone.
    """

    id: str
    name: str
    description: str
    tags: list[str]
    version: str
    tasks: list[TaskDefinition]
    parameters: dict[str, Any]
    schedules: list[str]
    hidden: bool = False
    statistics: StatisticView | None = None
    recent: list[RecentRun] = []
    expected_counts: dict[str, float] = {}
    curves: list[Curve] = []
    deployments: list[Deployment] = []


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    event: msgspec.Raw


class ClientView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    host: str
    pid: int
    slots: int
    flows: list[str]
    state: str
    connected_at: datetime
    last_seen: datetime | None = None


class SummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on now. running: RUNNING or CANCELLING; waiting: SCHEDULED, PENDING or PAUSED; clients: connected ones.
    failed_24h: FAILED or CRASHED; the 24 h count back from now by the end of the run.
    hours: how many completed and failed in each of them, the last one last.
    """

    running: int
    waiting: int
    completed_24h: int
    failed_24h: int
    clients: int
    hours: list[tuple[int, int]] = []


LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}


def level_name(level: int) -> str:
    return LEVELS.get(level - level % 10, "INFO")


def queued_ms(run: RunLife) -> int | None:
    """From when the run was due (created, when no later time was given) to its first start: None before that."""
    if run.start_time is None:
        return None
    since = max(run.scheduled_for or run.created_at, run.created_at)
    return max(int((run.start_time - since).total_seconds() * 1000), 0)


def with_queues(view: RunView, queues: Iterable[str]) -> RunView:
    """queues: of the run's distributed tasks that no worker has taken yet."""
    names = ", ".join(repr(name) for name in sorted(set(queues)))
    is_waiting = any(wait.waits_for == "task" for wait in view.waits)
    if not names or not (is_waiting or (view.state == "RUNNING" and view.waiting_for is None)):
        return view
    also = f"{view.waiting_for}; " if view.waiting_for else ""
    return msgspec.structs.replace(view, waiting_for=f"{also}waits for a worker of queue {names}")


def run_view(
    run: RunLife, *, progress: float, tasks_done: int, tasks_total: int, expected_ms: float | None = None
) -> RunView:
    """`progress`: the fraction 0–1 of a run that is not completed; a completed one shows 100."""
    is_with_parent = run.origin == "child" and is_paused_from_outside(run)  # it is the parent that is resumed
    waits = [] if is_with_parent else open_waits(run)
    shown = next((wait for wait in waits if wait.waits_for == "input"), waits[0] if waits else None)
    inline = run.result if run.result and run.result.serializer == "json" and not run.result.ref else None
    return RunView(
        id=run.id,
        flow_id=run.flow_id,
        flow_name=run.flow_name,
        flow_version=run.flow_version,
        state=run.state.value,
        progress=100.0 if run.state == "COMPLETED" else round(progress * 100, 2),
        created_at=run.created_at,
        start_time=run.start_time,
        end_time=run.end_time,
        duration_ms=run.duration_ms,
        queued_ms=queued_ms(run),
        configuration=run.configuration,
        parameters=run.parameters,
        tags=run.tags,
        client_name=run.client_name,
        attempt=max(run.epoch, 1),
        error=run.error
        or (ErrorInfo(kind="", message=run.reason) if run.reason and run.state.is_final else None),
        waiting_for=waiting_sentence(run),
        performance_warning=run.performance_warning,
        tasks_done=tasks_done,
        tasks_total=tasks_total,
        expected_ms=expected_ms,
        name=run.name,
        origin=run.origin,
        parent_run_id=run.parent_run_id,
        deployment=run.deployment,
        schedule_id=run.schedule_id,
        scheduled_for=run.scheduled_for,
        backfill=run.backfill,
        origin_run_id=run.fork_of or run.origin_run_id,
        waits_for=shown.waits_for if shown else None,
        input_schema=shown.input_schema if shown else None,
        waits=waits,
        pausing_by=None if run.state.is_final else run.pausing_by,
        result=inline.value if inline else None,
    )


def with_outlook(view: RunView, outlook: Outlook | None, now: datetime) -> RunView:
    if outlook is None or view.state != "RUNNING":
        return view
    p50, p90 = (outlook.finish(share, now) for share in (MEDIAN, NEARLY_ALL))
    return msgspec.structs.replace(view, eta_p50=p50, eta_p90=p90, outlook=outlook)


def task_run_view(task: TaskLife, *, weight: float = 1.0, expected_ms: float | None = None) -> TaskRunView:
    done = task.state in ("COMPLETED", "CACHED", "SKIPPED")
    return TaskRunView(
        id=task.id,
        run_id=task.run_id,
        task_id=task.task_id,
        task_key=task.key,
        name=task.name,
        state=task.state.value,
        progress=100.0 if done else 0.0,
        start_time=task.start_time,
        end_time=task.end_time,
        duration_ms=task.duration_ms,
        attempt=task.attempt,
        performance_warning=task.performance_warning,
        error=task.error,
        expected_ms=expected_ms,
        weight=weight,
        origin_run_id=task.origin_run_id,
        queue=task.queue,
        tags=task.tags,
        run_name=task.run_name,
        state_name=task.state_name,
        state_message=task.state_message,
        after=task.after,
    )
