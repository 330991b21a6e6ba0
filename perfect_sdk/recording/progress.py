"""Progress that a running task reports of itself."""

from typing import Any

from perfect_schemas.envelope import utc_now
from perfect_sdk.context import require


def update_progress(fraction: float) -> None:
    """Tell how much of the running task is done, from 0 to 1. Seen live; not stored.

    In a flow's body it does nothing: the flow's progress follows from its tasks. Raises MissingContextError outside
    of a run and ValueError for what is no number from 0 to 1.
    """
    frame = require("update_progress()")
    frame.check()
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
        raise ValueError(f"progress is a number from 0 to 1, not {fraction!r}")
    call = frame.call
    if call is None:
        return
    payload: dict[str, Any] = {
        "type": "task.progress",
        "at": utc_now(),
        "run_id": frame.session.run.run_id,
        "task_run_id": call.id,
        "task_key": call.place.key,
        "task_id": call.task_id,
        "fraction": float(fraction),
    }
    frame.session.journal.live(payload)
