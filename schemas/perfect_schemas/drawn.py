"""What pages of large runs are made of: queries whose answers are narrow, of task runs by the ten thousand.

A column a list, all of one length. Times are µs since 1970-01-01 UTC, durations ms, seq: on EVENTS.
"""

import msgspec

from perfect_schemas.views import EventView


class TaskColumns(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`task_columns`. Answer: TaskColumnsView, in the order in which they began. after: only those whose first event
    stands after this sequence.
    """

    run_id: str
    after: int = 0
    limit: int = 10_000


class TaskColumnsView(msgspec.Struct, frozen=True, kw_only=True):
    """Task runs. of: place in `tasks`, pairs of a task's id and name. warning (its message), error (its kind and
    message), label (what people call it): by the row's place. next: `after` of the next page.
    """

    tasks: list[tuple[str, str]]
    id: list[str]
    key: list[str]
    of: list[int]
    state: list[str]
    start: list[int | None]
    end: list[int | None]
    took: list[int | None]
    attempt: list[int]
    first_seq: list[int]
    last_seq: list[int]
    warning: dict[int, str] = {}
    error: dict[int, tuple[str, str]] = {}
    label: dict[int, str] = {}
    next: int | None = None


class TaskGroups(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`task_groups`. Answer: TaskGroupsView. The task runs of a run that have begun, by their keys without the numbers."""

    run_id: str
    limit: int = 200


class TaskGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Task runs with one key but for its numbers (`load-3/parse-12` is one of `load/parse`). key: of the first of them.
    end: of the last, None while one of them has not ended. states: state → how many. after: family → how many of these
    had inputs from there; not of every one when the run's tasks had more than 200,000 inputs from others.
    """

    family: str
    key: str
    name: str
    start: int
    end: int | None
    states: dict[str, int]
    after: dict[str, int] = {}


class TaskGroupsView(msgspec.Struct, frozen=True, kw_only=True):
    """In the order in which they began. tasks: task runs in all groups. left_out: groups beyond `limit`."""

    groups: list[TaskGroup]
    tasks: int
    left_out: int = 0


class RunMoment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`run_moment`. Answer: RunMomentView, or NotFound. The last event of the run up to `seq` (the first one when all
    are younger), or its `n`-th, from 0.
    """

    run_id: str
    seq: int = 0
    n: int | None = None


class RunMomentView(msgspec.Struct, frozen=True, kw_only=True):
    """n, seq: of the event. prior, following: the sequences of those beside it. state: of the run now. kinds: type → how
    many events the run has. tasks: how many task runs. beside: its events up to this one that are not a task's own.
    """

    n: int
    seq: int
    event: msgspec.Raw
    prior: int | None
    following: int | None
    state: str
    kinds: dict[str, int]
    tasks: int
    beside: list[EventView]
