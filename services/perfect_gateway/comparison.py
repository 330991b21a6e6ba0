"""Two runs side by side: what was different, and which tasks the difference of their durations is due to. Pure.

The shares come from `attribution`: what tasks, waits and the flow's own code had of each run adds up to its duration,
so their differences add up to the difference of the durations.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_gateway.attribution import Attribution, attribute
from perfect_gateway.record import RunRecord
from perfect_gateway.shapes import class_name
from perfect_schemas.views import TaskRunView

MOST_DIFFERENCES = 200
TASKS_NAMED = 3
NOTHING_MS = 1.0  # what is less is no difference: durations are whole milliseconds
LEAST_SHARE = 0.01  # of the difference, for a task to be named as one that explains it
_IDLE = ("queued", "waiting", "retry", "scheduled", "ended")


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """path: `day`, `options.depth`, `rows[3]`. only_in: there is no such value in the other run."""

    path: str
    a: Any = None
    b: Any = None
    only_in: Literal["a", "b"] | None = None


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One thing about the two runs that is not the same."""

    name: str
    a: str | None
    b: str | None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """duration_ms: from its first start to its end, or to now."""

    id: str
    flow_name: str
    state: str
    start_time: datetime | None
    duration_ms: float | None
    queued_ms: int | None
    tasks: int


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """a_ms, b_ms: what it had of the run's time. share: of the whole difference; all shares add up to 1. count_a,
    count_b: task runs.
    """

    name: str
    kind: Literal["task", "waiting", "flow"]
    count_a: int
    count_b: int
    a_ms: float
    b_ms: float
    delta_ms: float
    share: float | None


class TaskPair(msgspec.Struct, frozen=True, kw_only=True):
    """Task runs of the same key. A state of None: there is none in that run."""

    task_key: str
    name: str
    a_state: str | None
    b_state: str | None
    a_ms: int | None
    b_ms: int | None
    delta_ms: int | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """b compared with a: a positive delta means that b took longer.

    facts: what else differs (flow, version, configuration, client, state, error …). explained_by: the tasks that
    account for most of the difference. causes: everything that it is made of, the largest first. tasks: in a's order,
    then those that are only in b.
    """

    a: Side
    b: Side
    delta_ms: float | None
    explained_by: list[Cause]
    facts: list[Fact]
    parameters: list[Difference]
    parameters_left_out: int
    causes: list[Cause]
    tasks: list[TaskPair]


def compare(a: RunRecord, b: RunRecord, now: datetime) -> Comparison:
    """`now`: the end of what is still running."""
    spent_a, spent_b = spent(a, now), spent(b, now)
    delta = spent_b.total_ms - spent_a.total_ms if a.run.start_time and b.run.start_time else None
    causes = _causes(a, b, spent_a, spent_b, delta)
    parameters = list(differences(a.run.parameters, b.run.parameters))
    return Comparison(
        a=_side(a, spent_a),
        b=_side(b, spent_b),
        delta_ms=delta,
        explained_by=[
            cause for cause in causes if cause.kind == "task" and (cause.share or 0) >= LEAST_SHARE
        ][:TASKS_NAMED],
        facts=[fact for fact in _facts(a, b) if fact.a != fact.b],
        parameters=parameters[:MOST_DIFFERENCES],
        parameters_left_out=max(len(parameters) - MOST_DIFFERENCES, 0),
        causes=causes,
        tasks=list(_pairs(a.tasks, b.tasks)),
    )


def spent(record: RunRecord, now: datetime) -> Attribution:
    start = record.run.start_time
    if start is None:
        return Attribution()
    waits = [(phase.start, phase.end or now) for phase in record.phases if phase.kind in _IDLE]
    return attribute(record.tasks, start, record.run.end_time or now, waits)


def differences(a: Any, b: Any, path: str = "") -> Iterator[Difference]:
    """The places in which two JSON values differ. Numbers are compared by value; true is no 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(key for key in b if key not in a)]:
            inner = f"{path}.{key}" if path else str(key)
            if key not in b:
                yield Difference(path=inner, a=a[key], only_in="a")
            elif key not in a:
                yield Difference(path=inner, b=b[key], only_in="b")
            else:
                yield from differences(a[key], b[key], inner)
    elif isinstance(a, list) and isinstance(b, list):
        for n in range(max(len(a), len(b))):
            inner = f"{path}[{n}]"
            if n >= len(b):
                yield Difference(path=inner, a=a[n], only_in="a")
            elif n >= len(a):
                yield Difference(path=inner, b=b[n], only_in="b")
            else:
                yield from differences(a[n], b[n], inner)
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        yield Difference(path=path, a=a, b=b)


def _side(record: RunRecord, spent: Attribution) -> Side:
    run = record.run
    return Side(
        id=run.id,
        flow_name=run.flow_name,
        state=run.state,
        start_time=run.start_time,
        duration_ms=spent.total_ms if run.start_time else None,
        queued_ms=run.queued_ms,
        tasks=len(record.tasks),
    )


def _facts(a: RunRecord, b: RunRecord) -> Iterator[Fact]:
    for name, of_a, of_b in (
        ("flow", a.run.flow_name, b.run.flow_name),
        ("state", a.run.state, b.run.state),
        ("error", _error(a), _error(b)),
        ("code version", a.run.flow_version, b.run.flow_version),
        ("configuration", a.run.configuration, b.run.configuration),
        ("client", a.run.client_name, b.run.client_name),
        *((label, *pair) for label, pair in _environments(a, b)),
        ("tags", ", ".join(sorted(a.run.tags)) or None, ", ".join(sorted(b.run.tags)) or None),
        ("origin", a.run.origin, b.run.origin),
        ("attempt", str(a.run.attempt), str(b.run.attempt)),
    ):
        yield Fact(name=name, a=of_a, b=of_b)


def _environments(a: RunRecord, b: RunRecord) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Of the client that ran it last, as far as both are known."""
    ours, theirs = a.last_client, b.last_client
    if ours is None or theirs is None:
        return
    for label, of_a, of_b in (
        ("host", ours.host, theirs.host),
        ("Python", ours.python_version, theirs.python_version),
        ("SDK", ours.sdk_version, theirs.sdk_version),
    ):
        if of_a and of_b:
            yield label, (of_a, of_b)


def _error(record: RunRecord) -> str | None:
    error = record.run.error
    if error is None:
        return None
    kind = class_name(error.kind)
    return f"{kind}: {error.message}" if kind else error.message


def _causes(
    a: RunRecord, b: RunRecord, spent_a: Attribution, spent_b: Attribution, delta: float | None
) -> list[Cause]:
    counts_a, counts_b = Counter(task.name for task in a.tasks), Counter(task.name for task in b.tasks)
    names = [*spent_a.tasks, *(name for name in spent_b.tasks if name not in spent_a.tasks)]
    parts: list[tuple[str, Literal["task", "waiting", "flow"], float, float]] = [
        (name, "task", spent_a.tasks.get(name, 0.0), spent_b.tasks.get(name, 0.0)) for name in names
    ]
    if spent_a.waiting_ms or spent_b.waiting_ms:
        parts.append(("waiting", "waiting", spent_a.waiting_ms, spent_b.waiting_ms))
    parts.append(("the flow's own code", "flow", spent_a.flow_ms, spent_b.flow_ms))
    causes = [
        Cause(
            name=name,
            kind=kind,
            count_a=counts_a[name] if kind == "task" else 0,
            count_b=counts_b[name] if kind == "task" else 0,
            a_ms=of_a,
            b_ms=of_b,
            delta_ms=of_b - of_a,
            share=(of_b - of_a) / delta if delta is not None and abs(delta) >= NOTHING_MS else None,
        )
        for name, kind, of_a, of_b in parts
    ]
    return sorted(causes, key=lambda cause: (-(cause.share or 0.0), -abs(cause.delta_ms)))


def _pairs(a: list[TaskRunView], b: list[TaskRunView]) -> Iterator[TaskPair]:
    others = {task.task_key: task for task in b}
    for task in a:
        yield _pair(task, others.pop(task.task_key, None))
    for task in others.values():
        yield _pair(None, task)


def _pair(a: TaskRunView | None, b: TaskRunView | None) -> TaskPair:
    known = a or b
    assert known is not None
    of_a, of_b = a.duration_ms if a else None, b.duration_ms if b else None
    return TaskPair(
        task_key=known.task_key,
        name=known.name,
        a_state=a.state if a else None,
        b_state=b.state if b else None,
        a_ms=of_a,
        b_ms=of_b,
        delta_ms=None if of_a is None or of_b is None else of_b - of_a,
    )
