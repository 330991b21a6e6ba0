"""The states of runs and task runs."""

from enum import StrEnum


class RunState(StrEnum):
    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"

    @property
    def is_final(self) -> bool:
        return self in FINAL_RUN_STATES


class TaskState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    COMPLETED = "COMPLETED"
    CACHED = "CACHED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"

    @property
    def is_final(self) -> bool:
        return self in FINAL_TASK_STATES


FINAL_RUN_STATES = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED, RunState.CRASHED})
RETRIABLE_RUN_STATES = FINAL_RUN_STATES - {RunState.COMPLETED}
"""Of what has ended: what may be tried again."""
KEPT_TASK_STATES = frozenset({TaskState.COMPLETED, TaskState.CACHED})
"""A later execution, a retry or a fork takes the result over."""
FINAL_TASK_STATES = frozenset(
    {
        TaskState.COMPLETED,
        TaskState.CACHED,
        TaskState.FAILED,
        TaskState.SKIPPED,
        TaskState.CANCELLED,
        TaskState.CRASHED,
    }
)
