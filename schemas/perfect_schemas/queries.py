"""Queries: what somebody wants to know. Request/reply on `perfect.qry.<name>`, answered by the projector.

Every answer is a `commands.Reply` whose `seq` is the EVENTS sequence that it is as of, so that a reader can go on
from there on the stream without a gap. Pages are keyset-paged: `cursor` is the `next` of the page before.
"""

from datetime import datetime
from typing import Literal

import msgspec

from perfect_schemas.views import EventView, LogView, RunView, TaskRunView


class RunPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`runs`. Answer: Runs, newest first. flow: id or name. text: in the flow's name, run's name, id or a tag.
    ids: just these runs.
    """

    flow: str | None = None
    state: list[str] = []
    tag: str | None = None
    configuration: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: list[str] = []
    sort: Literal["start", "duration"] = "start"
    limit: int = 50
    cursor: str | None = None


class Runs(msgspec.Struct, frozen=True, kw_only=True):
    runs: list[RunView]
    next: str | None = None


class RunDetail(msgspec.Struct, frozen=True, kw_only=True):
    """`run`. Answer: RunView, or NotFound."""

    run_id: str


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
    level: the lowest level shown, as Python's number.
    """

    run_id: str
    limit: int = 1000
    cursor: str | None = None
    level: int = 0
    text: str | None = None
    task_run_id: str | None = None
    tail: bool = False


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """seq: the LOGS sequence that the page is as of."""

    logs: list[LogView]
    seq: int
    next: str | None = None


class EventPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`events`. Answer: Events of a run (or of all), ascending."""

    run_id: str | None = None
    limit: int = 1000
    cursor: str | None = None


class Events(msgspec.Struct, frozen=True, kw_only=True):
    events: list[EventView]
    next: str | None = None


class FlowList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`flows`. Answer: list[FlowView] by name; hidden ones only when asked for."""

    hidden: bool = False


class FlowDetail(msgspec.Struct, frozen=True, kw_only=True):
    """`flow`, by id or name. Answer: FlowView, or NotFound."""

    flow: str


class Statistics(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`statistics`. Answer: views.StatisticsView."""

    flow: str | None = None


class ClientList(msgspec.Struct, frozen=True, kw_only=True):
    """`clients`. Answer: list[ClientView]."""


class Integrity(msgspec.Struct, frozen=True, kw_only=True):
    """`integrity`. Answer: IntegrityReport, computed by SQL over the log and the read models."""


class IntegrityCheck(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str


class IntegrityReport(msgspec.Struct, frozen=True, kw_only=True):
    """offsets: stream → the last sequence that is in the file."""

    offsets: dict[str, int]
    checks: list[IntegrityCheck]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`summary`. Answer: views.SummaryView."""
