"""What charts are drawn from: queries whose answers have few columns and many points, as lists side by side.

Times are ms since 1970-01-01 UTC, durations ms. Points stand in the order of time, the oldest first.
"""

from datetime import date

import msgspec

from perfect_schemas.views import StatisticView


class FlowHistory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`flow_history`. Answer: FlowHistoryView, or NotFound. flow: by id or name. runs: so many of the last that ended.
    days: how far back the outcomes by day go.
    """

    flow: str
    runs: int = 200
    days: int = 30


class RunPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that ended. at: when each started, or was created if it never did. severity: of its performance warning."""

    id: list[str]
    at: list[int]
    duration_ms: list[int | None]
    state: list[str]
    flow_version: list[str | None]
    severity: list[str | None]


class TaskPoints(msgspec.Struct, frozen=True, kw_only=True):
    """How long a task took in each of the runs, at the mean if it ran several times; None where it did not complete."""

    id: str
    name: str
    duration_ms: list[float | None]


class OutcomePoints(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs ended on each day (UTC) on which any did. failed: those that crashed, too."""

    day: list[date]
    completed: list[int]
    failed: list[int]
    cancelled: list[int]


class FlowHistoryView(msgspec.Struct, frozen=True, kw_only=True):
    """avg_duration_ms, std_dev_ms, sample_count: of all its completed runs. tasks: those that took longest first."""

    flow_id: str
    flow_name: str
    avg_duration_ms: float | None
    std_dev_ms: float | None
    sample_count: int
    runs: RunPoints
    tasks: list[TaskPoints]
    outcomes: OutcomePoints


class TaskHistory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`task_history`. Answer: TaskHistoryView, or NotFound. task: its id. runs: so many of its last completions.
    days: how far back the histogram goes.
    """

    task: str
    runs: int = 200
    days: int = 30


class CompletionPoints(msgspec.Struct, frozen=True, kw_only=True):
    """Completions of a task. run_id: the run it was in."""

    run_id: list[str]
    at: list[int]
    duration_ms: list[int | None]
    severity: list[str | None]


class HistogramBar(msgspec.Struct, frozen=True, kw_only=True):
    """How many took at least low_ms and less than high_ms. Bars are equally wide by the logarithm of the time."""

    low_ms: float
    high_ms: float
    count: int


class TaskHistoryView(msgspec.Struct, frozen=True, kw_only=True):
    """statistic: of all time. versions: the same by flow version, the latest first."""

    task_id: str
    task_name: str
    flow_id: str
    flow_name: str
    statistic: StatisticView
    versions: list[StatisticView]
    histogram: list[HistogramBar]
    completions: CompletionPoints
