"""When a running flow will be done, by the runs before it.

A completed run leaves a `Curve`: how long it had executed when it reached 10 %, 20 % … 90 % of its progress, and in
all. What a run that has reached, say, 40 % still needs is distributed like what the runs before it still needed from
their 40 % on; of these only those count that needed longer than this one has since taken. So tasks that run side by
side or one after the other need no model of their own. All durations are milliseconds of execution: time in which a run
waits is in none of them.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from perfect_schemas.folds.run import RunLife

STEPS = 10
LEAST_RUNS = 3
MOST_RUNS = 50
MEDIAN = 0.5
NEARLY_ALL = 0.9

Curve = list[int]
"""Ten durations that never fall: at 10 %, 20 % … 90 %, and in all."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """since: when the run reached the step from which `remaining` counts. remaining: what each of the last completed
    runs still needed from there, ms, ascending.
    """

    since: datetime
    remaining: list[int]

    def finish(self, share: float, now: datetime) -> datetime | None:
        """By when it is done with the probability `share`, as seen `now`; None when it already takes longer than all
        of those runs.
        """
        left = after(self.remaining, (now - self.since) / timedelta(milliseconds=1))
        return self.since + timedelta(milliseconds=quantile(left, share)) if left else None


def outlook(run: RunLife, step: int, reached_ms: int, curves: Iterable[Curve]) -> Outlook | None:
    """The outlook of a run that reached the step, 0–9, when it had executed for `reached_ms`. None when it does not
    execute, or the runs before it are too few. What it reached in an execution before this one counts from the
    begin of this one.
    """
    since = run.executing_since
    if since is None or not (left := remaining(curves, step)):
        return None
    return Outlook(since=since + timedelta(milliseconds=max(reached_ms - run.ran_ms, 0)), remaining=left)


def curve_of(marks: Sequence[int], duration_ms: int) -> Curve:
    """marks: when each step was reached, as far as they were. What a run skipped at its end it reached at its end."""
    reached = marks[: STEPS - 1]
    if reached and max(reached) > duration_ms:
        reached = [min(mark, duration_ms) for mark in reached]
    return [*reached, *[duration_ms] * (STEPS - len(reached))]


def step_of(fraction: float) -> int:
    """The last tenth that is reached, 0–9."""
    return min(math.floor(fraction * STEPS + 1e-9), STEPS - 1)


def remaining(curves: Iterable[Curve], step: int) -> list[int]:
    """What each run still needed when it had reached the step, ascending. Empty when they are too few to say."""
    found = sorted(curve[-1] - (curve[step - 1] if step else 0) for curve in curves)
    return found if len(found) >= LEAST_RUNS else []


def after(ascending: list[int], elapsed_ms: float) -> list[int]:
    return ascending[bisect_right(ascending, elapsed_ms) :]


def quantile(ascending: Sequence[int], share: float) -> float:
    """With linear interpolation between the two nearest values. `ascending` has at least one."""
    place = share * (len(ascending) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (ascending[high] - ascending[low]) * (place - low)
