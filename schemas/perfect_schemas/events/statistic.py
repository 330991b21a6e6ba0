"""What the projector concludes. Subject: the task's or run's own, on EVENTS."""

from typing import Literal

from perfect_schemas.envelope import Event


class PerformanceWarned(Event, frozen=True, kw_only=True, omit_defaults=True, tag="performance.warned"):
    """A task run or (without task_run_id) a run took longer than its history lets expect.

    id: `<task_run_id or run_id>:<rule>`, so that saying it again changes nothing.
    """

    rule: Literal["z_score", "practical", "absolute"]
    severity: Literal["warning", "critical"]
    message: str
    duration_ms: int
    avg_duration_ms: float


class PerformanceRunningLong(
    Event, frozen=True, kw_only=True, omit_defaults=True, tag="performance.running_long"
):
    """A task run is still running, longer than its history lets expect. Said once of each try.

    id: `<task_run_id>:running_long:<epoch>.<attempt>`. elapsed_ms: when it was said.
    """

    severity: Literal["warning"] = "warning"
    message: str
    elapsed_ms: int
    avg_duration_ms: float
