"""What else the end of a task means: its transaction, and what the cache gets."""

from typing import TYPE_CHECKING, Any

from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import TaskState
from perfect_sdk.running.effects import Steps
from perfect_sdk.running.returned import of_value
from perfect_sdk.states import Completed

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call


def replayed(call: "Call", record: TaskLife, value: Any) -> Steps[None]:
    """What an earlier execution has done stands as if this one had."""
    call.stored = record.result
    call._run_name = record.run_name
    if record.state is TaskState.CACHED:
        call.state, call.is_cached = Completed(data=value, name="Cached"), True
    elif call.is_flow and (judged := of_value(value)) is not None:
        call.state = judged
    elif record.state_name is not None:
        call.state = Completed(message=record.state_message, data=value, name=record.state_name)
    if call.cache is not None and record.result is not None:
        from perfect_sdk.caching import cached_call

        cached_call.replayed(call, record.result)
    if not call.is_cached:
        yield from call._ended(value)


def ended(call: "Call", value: Any) -> Steps[None]:
    """Stage what it did in the transaction around it; without one it is committed now."""
    hooks, key = call.policy.hooks, call.cache_key
    if call.transaction is None and key is None and not hooks.commit and not hooks.rollback:
        return
    from perfect_sdk.caching import cached_call
    from perfect_sdk.committing import transaction

    is_alone = call.transaction is None and transaction.enclosing(call.frame) is None
    if is_alone and key is not None and not hooks.commit and not hooks.rollback:
        yield from cached_call.keep(call, key, call.stored)
        return
    own = transaction.of_call(call)
    own.stage(value, hooks.rollback, hooks.commit)
    if key is not None:
        own.keeps = lambda: cached_call.keep(call, key, call.stored)
    yield from own.ended()


def undone(call: "Call") -> Steps[None]:
    """It failed: what it called, and what is staged around it, is rolled back."""
    frame = call.frame
    around = frame.transaction or (frame.call.transaction if frame.call is not None else None)
    if call.transaction is not None:
        yield from call.transaction.failed()
    elif around is not None:
        yield from around.rollback_steps()
