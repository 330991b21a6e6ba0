"""Why a run waits, in words."""

from perfect_schemas.events.run import OpenWait
from perfect_schemas.folds.run import RunLife, is_paused_from_outside, is_pausing, open_waits


def waiting_sentence(run: RunLife) -> str | None:
    """Why the run does not run, as far as its own events tell."""
    if run.state == "SCHEDULED":
        if run.fork_of is not None and run.origin_run_id is None:
            return f"takes over the results of run {run.fork_of}"
        return f"scheduled for {run.due_at:%Y-%m-%d %H:%M:%S} UTC" if run.due_at else "about to be queued"
    if run.state == "PENDING":
        return f"waits for a worker that serves flow {run.flow_name!r}"
    if is_pausing(run):
        return (
            f"is being paused by {run.pausing_by}: stops at its next call of a task, a child flow or a wait"
        )
    if run.state == "PAUSED":
        if is_paused_from_outside(run):
            if run.origin == "child":
                return f"paused with run {run.parent_run_id}, which called it"
            return f"paused by {run.pausing_by}: goes on when it is resumed"
        waits = open_waits(run)
        more = run.awaited.count - 1 if run.awaited is not None else 0
        return "; ".join(_wait_phrase(wait, more, alone=len(waits) == 1) for wait in waits) or "paused"
    if run.state == "CANCELLING":
        return "is being cancelled"
    return None


def _wait_phrase(wait: OpenWait, more: int, *, alone: bool) -> str:
    """more: distributed tasks that it waits for beside the one that is named."""
    if wait.waits_for == "input":
        return "paused: waits for input" if alone else f"waits for input at {wait.key}"
    if wait.waits_for == "sleep":
        return f"sleeps until {wait.wake_at:%Y-%m-%d %H:%M:%S} UTC" if wait.wake_at else "sleeps"
    return {
        "child": f"waits for child run {wait.key}",
        "task": f"waits for task {wait.key} on another worker{f' and {more} more' if more else ''}",
        "slot": f"waits for a slot of {wait.key}",
    }.get(wait.waits_for, "paused")
