"""Flows that return states or futures: what became of the run, by them.

A state sets the run's. Several states or futures, in a list, tuple, set or dict: the run completed if all of them did,
and returns their results; it was cancelled if one was; otherwise it failed.
"""

from typing import Any

from perfect_sdk.futures import PerfectFuture
from perfect_sdk.inputs import replace
from perfect_sdk.states import Cancelled, Completed, Failed, State

_MANY = (list, tuple, set, frozenset)


def has_states(value: Any) -> bool:
    """Whether it is a state or future, or nothing but states and futures."""
    if isinstance(value, (State, PerfectFuture)):
        return True
    if isinstance(value, dict):
        value = list(value.values())
    return (
        isinstance(value, _MANY)
        and bool(value)
        and all(isinstance(one, (State, PerfectFuture)) for one in value)
    )


def returned_state(value: Any) -> State[Any]:
    """The run's. The futures are done."""
    if isinstance(value, State):
        return value
    if isinstance(value, PerfectFuture):
        return value.state
    states = [_state_of(one) for one in (value.values() if isinstance(value, dict) else value)]
    if all(state.is_completed() for state in states):
        return Completed(message="All states completed.", data=_results(value))
    cancelled = sum(state.is_cancelled() for state in states)
    if cancelled:
        return Cancelled(message=f"{cancelled}/{len(states)} states cancelled.")
    failed = sum(not state.is_completed() for state in states)
    return Failed(message=f"{failed}/{len(states)} states failed.")


def _state_of(one: Any) -> State[Any]:
    return one if isinstance(one, State) else one.state


def _results(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _results(one) for name, one in value.items()}
    if isinstance(value, State):
        return value.data
    if isinstance(value, PerfectFuture):
        return replace(value)
    return (
        type(value)(_results(one) for one in value)
        if not isinstance(value, list)
        else [*map(_results, value)]
    )
