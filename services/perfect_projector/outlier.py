"""Is a duration unusual? Three rules against the statistics of what came before; the first that holds wins.

1. z_score: z = (actual − average) ÷ sample standard deviation; from `min_samples` samples on and with a deviation
   above 0. z ≥ 4 is critical, z ≥ 3 a warning.
2. practical: more than 1000 ms slower and more than 50 % slower: a warning.
3. absolute: at least 3 times the average is critical, at least 2 times a warning.
"""

from typing import Literal

import msgspec

from perfect_projector.welford import Summary

Rule = Literal["z_score", "practical", "absolute"]
Severity = Literal["warning", "critical"]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in ms. min_samples: of rule 1; the others need one.

    min_delta_ms: what is slower by less is never warned of. Durations are whole milliseconds, so that of tasks which
    take none or one a single tick of the clock would be "three times the average".
    running_ms: a task that has run for less is never said to be running long: nobody would see it.
    """

    min_samples: int = 2
    min_delta_ms: float = 10.0
    z_warning: float = 3.0
    z_critical: float = 4.0
    practical_delta_ms: float = 1000.0
    practical_ratio: float = 1.5
    absolute_warning: float = 2.0
    absolute_critical: float = 3.0
    running_ms: float = 1000.0


DEFAULTS = Thresholds()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    severity: Severity
    message: str


def judge(actual_ms: float, before: Summary, thresholds: Thresholds = DEFAULTS) -> Finding | None:
    """What is to be said of a duration, given the summary of all before it; None when it is nothing unusual."""
    if before.count == 0 or actual_ms - before.mean < thresholds.min_delta_ms:
        return None
    return (
        _z_score(actual_ms, before, thresholds)
        or _practical(actual_ms, before, thresholds)
        or _absolute(actual_ms, before, thresholds)
    )


def running_limit(before: Summary, thresholds: Thresholds = DEFAULTS) -> float | None:
    """How many ms a task may run until it is running long: the mean and 3 standard deviations, or twice the mean when
    it has always taken equally long. None when too few have completed to say.
    """
    if before.count < max(thresholds.min_samples, 1):
        return None
    std = before.std
    usual = before.mean + thresholds.z_warning * std if std else before.mean * thresholds.absolute_warning
    return max(usual, before.mean + thresholds.min_delta_ms, thresholds.running_ms)


def running_long(elapsed_ms: float, before: Summary, thresholds: Thresholds = DEFAULTS) -> str | None:
    """What is to be said of a task that is still running; None when that is nothing unusual."""
    limit = running_limit(before, thresholds)
    if limit is None or elapsed_ms < limit:
        return None
    std = before.std
    if std:
        z = (elapsed_ms - before.mean) / std
        return f"running for {duration(elapsed_ms)} ({z:.1f}σ from {duration(before.mean)} avg)"
    return f"running for {duration(elapsed_ms)} ({duration(before.mean)} avg)"


def _z_score(actual_ms: float, before: Summary, thresholds: Thresholds) -> Finding | None:
    std = before.std
    if not std or before.count < thresholds.min_samples:
        return None
    z = (actual_ms - before.mean) / std
    if z < thresholds.z_warning:
        return None
    return Finding(
        rule="z_score",
        severity="critical" if z >= thresholds.z_critical else "warning",
        message=f"{duration(actual_ms)} ({z:.1f}σ from {duration(before.mean)} avg)",
    )


def _practical(actual_ms: float, before: Summary, thresholds: Thresholds) -> Finding | None:
    slower = actual_ms - before.mean
    if slower <= thresholds.practical_delta_ms or actual_ms <= before.mean * thresholds.practical_ratio:
        return None
    share = f"{slower / before.mean * 100:.0f}% slower than " if before.mean else "slower than "
    return Finding(
        rule="practical",
        severity="warning",
        message=f"{duration(actual_ms)} ({share}{duration(before.mean)} avg)",
    )


def _absolute(actual_ms: float, before: Summary, thresholds: Thresholds) -> Finding | None:
    if before.mean <= 0 or actual_ms < before.mean * thresholds.absolute_warning:
        return None
    return Finding(
        rule="absolute",
        severity="critical" if actual_ms >= before.mean * thresholds.absolute_critical else "warning",
        message=f"{duration(actual_ms)} ({actual_ms / before.mean:.1f}× the {duration(before.mean)} avg)",
    )


def duration(ms: float) -> str:
    """`11.0s` from a second on, `120ms` below."""
    return f"{ms / 1000:.1f}s" if ms >= 1000 else f"{ms:.0f}ms"
