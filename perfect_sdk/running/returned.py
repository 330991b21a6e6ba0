"""Flows that return states or futures: what became of the run, by them, and what the caller gets.

A state sets the run's, and its data is what the flow returns. A future, or a list, tuple or set of nothing but futures and
states, is judged by all of them: the run completed if they all did; it was cancelled if one was; otherwise it failed. The
caller gets the states, also of a run that failed, unless it is a single one: that is raised. Futures among other values
become states, too, and say nothing of the run.
"""

from typing import Any, NamedTuple

from perfect_sdk.futures import PerfectFuture
from perfect_sdk.states import Cancelled, Completed, Failed, State

_MANY = (list, tuple, set, frozenset)


class Returned(NamedTuple):
    """value: what the flow returned. state: what it makes of the run; None when it says nothing of it.

    is_several: the caller gets the value whatever became of the run.
    """

    value: Any
    state: State[Any] | None = None
    is_several: bool = False


def judge(value: Any) -> Returned:
    """The futures are done."""
    if isinstance(value, State):
        return Returned(value.data, value)
    if isinstance(value, PerfectFuture):
        state = value.state
        return Returned(state, _judged([state], state))
    if not isinstance(value, (*_MANY, dict)):
        return Returned(value)
    is_judged = not isinstance(value, dict) and bool(value) and all(map(_has_state, value))
    states = _with_states(value)
    if not is_judged:
        return Returned(states)
    return Returned(states, _judged(list(states), states), is_several=True)


def of_value(value: Any) -> State[Any] | None:
    """The state of a run that gave its caller `value`, as far as the states in it say."""
    return _judged([value], value) if isinstance(value, State) else judge(value).state


def _has_state(value: Any) -> bool:
    return isinstance(value, (State, PerfectFuture))


def _judged(states: list[State[Any]], data: Any) -> State[Any]:
    if all(state.is_completed() for state in states):
        return Completed(message="All states completed.", data=data)
    cancelled = sum(state.is_cancelled() for state in states)
    if cancelled:
        return Cancelled(message=f"{cancelled}/{len(states)} states cancelled.", data=data)
    failed = sum(state.is_failed() or state.is_crashed() for state in states)
    if failed:
        return Failed(message=f"{failed}/{len(states)} states failed.", data=data)
    open_ones = sum(not state.is_final() for state in states)
    return Failed(message=f"{open_ones}/{len(states)} states are not final.", data=data)


def _with_states(value: Any) -> Any:
    """The very object when there is no future in it."""
    if isinstance(value, PerfectFuture):
        return value.state
    kind = type(value)
    if kind is dict:
        made = {name: _with_states(each) for name, each in value.items()}
        return made if any(made[name] is not each for name, each in value.items()) else value
    if isinstance(value, list):
        made = [_with_states(each) for each in value]
    elif kind in (tuple, set, frozenset):
        made = kind(map(_with_states, value))
    else:
        return value
    return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
