"""What ends the waits of a run under test: what the engine would say, and when. Pure but for the clock."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from perfect_schemas import ids
from perfect_schemas.envelope import Event, utc_now
from perfect_schemas.events import OpenWait, RunResumed
from perfect_schemas.folds.run import RunLife, evolve, open_waits
from perfect_sdk.encoding.values import to_builtins


def _lives(events: Iterable[Event]) -> dict[str, RunLife]:
    """Of the run and its child runs, by id."""
    lives: dict[str, RunLife] = {}
    for seq, event in enumerate(events, 1):
        if event.run_id is not None and event.type.startswith("run."):
            life = evolve(lives.get(event.run_id), event, seq)
            if life is not None:
                lives[event.run_id] = life
    return lives


def due(events: Iterable[Event]) -> datetime | None:
    """When the first wait is over that needs nobody: no input, no other run."""
    return min(
        (
            wait.wake_at
            for life in _lives(events).values()
            for wait in open_waits(life)
            if wait.wake_at is not None and wait.waits_for != "input"
        ),
        default=None,
    )


def resumptions(events: list[Event], run_input: Any, timed_out: bool) -> list[Event]:
    """What ends the waits of the run and its child runs, as the engine says it."""
    resumed: list[Event] = []
    for run_id, life in _lives(events).items():
        waits = open_waits(life)
        if not waits:
            continue
        wait = _ending(waits, by_input=run_input is not None, timed_out=timed_out)
        is_input = wait.waits_for == "input"
        is_over = wait.wake_at is not None and wait.wake_at <= utc_now() and run_input is None
        ends_by_time = timed_out or not is_input or is_over
        resumed.append(
            RunResumed(
                id=ids.uuid7(),
                at=wait.wake_at if ends_by_time and wait.wake_at is not None else utc_now(),
                source="testing",
                run_id=run_id,
                key=wait.key,
                input=None if ends_by_time else to_builtins(run_input),
            )
        )
    return resumed


def _ending(waits: list[OpenWait], *, by_input: bool, timed_out: bool) -> OpenWait:
    """Which of the waits is over: the one that gets the input, else the one whose time comes first."""
    asking = [wait for wait in waits if wait.waits_for == "input"]
    if asking and (by_input or timed_out):
        return asking[0]
    timed = [wait for wait in waits if wait.wake_at is not None and wait.waits_for != "input"]
    now = utc_now()
    over = [wait for wait in waits if wait.wake_at is not None and wait.wake_at <= now]
    return min(over or timed, key=lambda wait: wait.wake_at or now, default=waits[0])
