"""Whether a call that failed is tried again, and the time until it is."""

from datetime import timedelta
from typing import TYPE_CHECKING

from perfect_schemas.envelope import utc_now
from perfect_schemas.events import TaskRetrying
from perfect_sdk.encoding import failures
from perfect_sdk.running.effects import Commit, Sleep, Steps

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call

_WARNING, _ERROR = 30, 40


def is_tried_again(call: "Call", error: Exception) -> bool:
    policy = call.policy
    if call.attempt > policy.retries:
        return False
    if policy.retry_condition is None:
        return True
    try:
        return bool(policy.retry_condition(call.what, call, call.state_by(error)))
    except Exception as broken:
        call.session.say(
            _ERROR, f"retry_condition_fn of task {call.place.key!r} failed", call=call, error=broken
        )
        return False


def until_next(call: "Call", error: Exception) -> Steps[None]:
    """Write that it is tried again, and wait until it is due."""
    session, policy = call.session, call.policy
    delay = policy.delay_before(call.attempt)
    next_at = utc_now() + timedelta(seconds=delay)
    session.say(
        _WARNING,
        f"task {call.place.key!r} failed (attempt {call.attempt} of {policy.retries + 1}): "
        f"{type(error).__name__}: {error}; next attempt {f'in {delay:g} s' if delay else 'now'}",
        call=call,
    )
    info = failures.describe(error, with_variables=session.shows_variables)
    yield Commit(session, call.event(TaskRetrying, next_at=next_at, error=info))
    yield Sleep(session, delay, call)
