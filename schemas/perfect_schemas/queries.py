"""Queries: what somebody wants to know. Request/reply on `perfect.qry.<name>`, answered by the projector.

Every answer is a `commands.Reply` whose `seq` is the EVENTS sequence that it is as of, so that a reader can go on
from there on the stream without a gap. Pages are keyset-paged: `cursor` is the `next` of the page before.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.schedule import ScheduleSpec
from perfect_schemas.schedule_decision import ScheduleDecisionView
from perfect_schemas.views import (
    ArtifactView,
    EventView,
    FlowView,
    LogView,
    RunView,
    StatisticView,
    TaskRunView,
)


class RunPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`runs`. Answer: Runs, newest first. flow: id or name. text: in the flow's name, the run's name or a tag, upper and
    lower case alike; or four and more digits that the run's id begins or ends with. ids: just these runs. parent: just the child runs of that one.
    worker: by its name, which has or had the run last.
    """

    flow: str | None = None
    state: list[str] = []
    tag: str | None = None
    configuration: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: list[str] = []
    parent: str | None = None
    sort: Literal["start", "duration"] = "start"
    limit: int = 50
    cursor: str | None = None
    worker: str | None = None


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    runs: list[RunView]
    next: str | None = None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """`run`. Answer: RunView, or NotFound."""

    run_id: str


class WholeRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`whole_run`: what the page of a run shows, all as of one sequence. Answer: RunWhole, or NotFound.

    tasks, artifacts: so many, the first ones. lines: so many log lines, the last ones.
    """

    run_id: str
    tasks: int = 1000
    lines: int = 1000
    artifacts: int = 200


class TaskRunPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`task_runs`. Answer: TaskRuns, in order of their start."""

    run_id: str
    limit: int = 1000
    cursor: str | None = None


class TaskRuns(msgspec.Struct, frozen=True, kw_only=True):
    task_runs: list[TaskRunView]
    next: str | None = None


class LogPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`logs`. Answer: Logs in the order written. tail: the last `limit` lines instead of the first.
    level: the lowest level shown, as Python's number. text: that the line has in it without its colours, upper and lower
    case alike. task: only lines of this task run, by its key, or of all of a task, by the key without its number.
    beyond: (seq, n) of a line: those after it, with `tail` those before it. count: say also how many lines the run has in
    all. tasks: say also of which task runs there are lines.
    """

    run_id: str
    limit: int = 1000
    cursor: str | None = None
    level: int = 0
    text: str | None = None
    task_run_id: str | None = None
    tail: bool = False
    count: bool = False
    task: str | None = None
    beyond: tuple[int, int] | None = None
    tasks: bool = False


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """seq: the LOGS sequence that the page is as of. total: of the run, whatever was asked for of it. tasks: keys of its
    task runs that have lines, a few hundred at most.
    """

    logs: list[LogView]
    seq: int
    next: str | None = None
    total: int | None = None
    tasks: list[str] | None = None


class EventPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`events`. Answer: Events of a run (or of all), ascending. kind: just those whose type begins so, as `run.`."""

    run_id: str | None = None
    kind: str | None = None
    limit: int = 1000
    cursor: str | None = None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    events: list[EventView]
    next: str | None = None


class ArtifactPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`artifacts`. Answer: Artifacts: of a run in the order in which they were made, otherwise newest first.

    id: just this one. key: just those with it. NotFound for a run that there is not.
    """

    id: str | None = None
    run_id: str | None = None
    key: str | None = None
    limit: int = 1000
    cursor: str | None = None


class Artifacts(msgspec.Struct, frozen=True, kw_only=True):
    artifacts: list[ArtifactView]
    next: str | None = None


class RunWhole(msgspec.Struct, frozen=True, kw_only=True):
    run: RunView
    task_runs: TaskRuns
    logs: Logs
    artifacts: Artifacts


class FlowList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`flows`. Answer: list[FlowView] by name; hidden ones only when asked for."""

    hidden: bool = False


class FlowDetail(msgspec.Struct, frozen=True, kw_only=True):
    """`flow`, by id or name. Answer: FlowView, or NotFound."""

    flow: str


class WholeFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`whole_flow`: what the page of a flow shows, by id or name. Answer: FlowWhole, or NotFound. runs: so many of the last."""

    flow: str
    runs: int = 50


class FlowWhole(msgspec.Struct, frozen=True, kw_only=True):
    """tasks: their statistics. versions: statistics of its runs by flow version, of all time."""

    flow: FlowView
    runs: Runs
    tasks: list[StatisticView]
    versions: list[StatisticView]


class Statistics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`statistics`. Answer: views.StatisticsView. flow, task: by id or name.

    by: a row for each configuration, flow version or day (UTC) instead of one of all time. days: how far back the
    percentiles go, and with `by` a day the rows. of: `flows`: none of tasks. trends: say also, without `by`, how long each
    took day by day.
    """

    flow: str | None = None
    task: str | None = None
    by: Literal["configuration", "flow_version", "day"] | None = None
    days: int = 30
    of: Literal["flows"] | None = None
    trends: bool = False


class ClientList(msgspec.Struct, frozen=True, kw_only=True):
    """`clients`. Answer: list[ClientView]."""


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    """`integrity`. Answer: IntegrityReport, computed by SQL over the log and the read models.

    conduct: whether those who said the events kept their promises, too: nothing done twice, no limit exceeded.
    sample: of how many of the newest runs, and as many others, the events are folded afresh. holes: whether the bus is
    asked about sequences that are missing from the log.
    """

    conduct: bool = False
    sample: int = 0
    holes: bool = False


class IntegrityCheck(msgspec.Struct, frozen=True, kw_only=True):
    """meaning: what holds if it is ok, in one sentence. detail: what was counted. lines: the first of what offends."""

    name: str
    ok: bool
    detail: str
    meaning: str = ""
    lines: list[str] = []
    elapsed_ms: float = 0.0


class IntegrityReport(msgspec.Struct, frozen=True, kw_only=True):
    """offsets: stream → the last sequence that is in the file."""

    offsets: dict[str, int]
    checks: list[IntegrityCheck]


class SchedulePreview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`schedule_preview`, answered by the engine. Answer: list[ScheduledInstant] in order of time, fewer than `count` when
    the rule ends. schedule_id, or spec: of one that need not be kept. after: the instants after it; None: after now.
    count: at most 1,000. InvalidInput names what is wrong with the spec.
    """

    schedule_id: str | None = None
    spec: ScheduleSpec | None = None
    after: datetime | None = None
    count: int = 10


class ScheduledInstant(msgspec.Struct, frozen=True, kw_only=True):
    """at: as the rule says. due_at: that and the jitter. local: in the schedule's zone, with its offset.
    note: what the clocks of that zone do then, in words, when they do something.
    """

    at: datetime
    due_at: datetime
    local: str
    note: str = ""


class ScheduleDecisionPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`schedule_decisions`. Answer: ScheduleDecisions, newest first. schedule_id, flow (id or name): just of these.
    since, until: decided from the one on and before the other. late_ms: just what was that late, or skipped, backfills apart.
    last: just the last one of each schedule that there is; then `limit` does not count.
    """

    schedule_id: str | None = None
    flow: str | None = None
    decision: list[str] = []
    since: datetime | None = None
    until: datetime | None = None
    late_ms: int | None = None
    last: bool = False
    limit: int = 50
    cursor: str | None = None


class ScheduleDecisions(msgspec.Struct, frozen=True, kw_only=True):
    decisions: list[ScheduleDecisionView]
    next: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary`. Answer: views.SummaryView."""


class Sql(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`sql`. Answer: SqlResult. Rejected when the SQL is wrong, InvalidInput when it goes beyond a limit, Busy when too
    many ask. One statement that reads; it runs over a snapshot. parameters: for `$1` or `$name`. query_id: made by the
    asker, who asks `sql_watch` after it every second while it waits; without one the query runs to its end.
    """

    query: str
    parameters: list[Any] | dict[str, Any] = []
    max_rows: int = 1000
    format: Literal["json", "csv", "ndjson", "parquet"] = "json"
    query_id: str = ""


class SqlWatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`sql_watch`. Answer: SqlWatched. That somebody waits for the query. stop: that nobody does any more."""

    query_id: str
    stop: bool = False


class SqlWatched(msgspec.Struct, frozen=True, kw_only=True):
    """is_known: the query runs, waits for its turn, or has been answered just now."""

    is_known: bool


class SqlResult(msgspec.Struct, frozen=True, kw_only=True):
    """types: DuckDB's names. rows: JSON, a list a row; of the other formats `body` is the whole file instead.
    truncated: there are more rows than were asked for, or than fit into 16 MiB. elapsed_ms: of the statement.
    """

    columns: list[str]
    types: list[str]
    rows: msgspec.Raw
    row_count: int
    truncated: bool
    elapsed_ms: float
    snapshot_at: datetime
    body: bytes = b""


class SqlColumn(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: str
    comment: str = ""


class SqlTable(msgspec.Struct, frozen=True, kw_only=True):
    """kind: table or view."""

    name: str
    kind: str
    comment: str = ""
    columns: list[SqlColumn] = []


class SnapshotFile(msgspec.Struct, frozen=True, kw_only=True):
    """`snapshot`. Answer: SqlSnapshot, of a new one unless the last one is as of now or a few seconds old."""


class SqlSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """file: on the projector's host, read-only. tables: what can be queried, views for people first."""

    file: str
    bytes: int
    taken_at: datetime
    tables: list[SqlTable]
