"""What is decided about a schedule's instants: pure. One decision an instant, in order of time.

the next instant is not due yet        nothing; `wakes_at` says when
due while nobody was there             by `catchup`: skipped, or as if it were due now
later than `max_lateness_ms`           skipped
a run of it has not ended              by `overlap`: fired, skipped, deferred until it has ended, or fired after cancelling
the run would be refused               skipped, saying why
otherwise                              fired
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain

import msgspec

from perfect_engine.run import SOURCE, Stamp
from perfect_runtime.occurrence import with_due
from perfect_schemas import ids
from perfect_schemas.envelope import Event
from perfect_schemas.errors import InvalidInput
from perfect_schemas.events.schedule import (
    ScheduleCondensed,
    ScheduleDeferred,
    ScheduleFired,
    ScheduleSkipped,
    SkipReason,
)
from perfect_schemas.folds.schedule import Schedule

STALL = timedelta(seconds=10)
SKIPPED_AT_ONCE = 5000
MAX_DEFERRED = 1000
MAX_BACKFILL = 1000
Due = tuple[datetime, datetime]
"""An instant, and when its run is due."""


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision depends on beside the schedule. since: from when on this engine has been able to act without a
    break. live: runs of the schedule that have not ended. refusal: why a run would be refused; empty: it would not.
    """

    stamp: Stamp
    since: datetime
    live: Sequence[str] = ()
    refusal: str = ""

    @property
    def now(self) -> datetime:
        return self.stamp.now

    @property
    def missed_before(self) -> datetime:
        """What was due before passed while nobody was there; also when the whole process stood still for a while."""
        return max(self.since, self.now - STALL)


def wakes_at(schedule: Schedule) -> datetime | None:
    """When there is something to decide next, if nothing else happens before."""
    if not schedule.is_live:
        return None
    return next((due for _, due in _undecided(schedule)), None)


def decide(schedule: Schedule | None, situation: Situation) -> tuple[Event, ...]:
    """The next decision, `()` when there is none to make now."""
    if schedule is None or not schedule.is_live:
        return ()
    if schedule.deferred and not situation.live:
        return _decide_deferred(schedule, situation)
    undecided = _undecided(schedule)
    first = next(undecided, None)
    if first is None or first[1] > situation.now:
        return ()
    skipped = _skip(schedule, situation, chain([first], undecided))
    if skipped is not None:
        return (skipped,)
    if situation.live or schedule.deferred:
        match schedule.spec.overlap:
            case "skip":
                return (_overlaps(schedule, situation, first, f"{_runs(situation.live)} not ended"),)
            case "queue" if len(schedule.deferred) < MAX_DEFERRED:
                return (_deferred(schedule, situation, first),)
            case "queue":
                return (
                    _overlaps(
                        schedule, situation, first, f"{MAX_DEFERRED:,} instants wait before it already"
                    ),
                )
            case "cancel_running":
                return (_fired(schedule, situation, first, cancelled=list(situation.live)),)
    return (_fired(schedule, situation, first),)


def due_of(schedule: Schedule, instant: datetime) -> datetime:
    """When the run of one of its instants is due; of an instant that the rule does not have any more, at once."""
    pairs = with_due(schedule.spec, schedule.id, instant - timedelta(microseconds=1))
    at, due_at = next(pairs, (instant, instant))
    return due_at if at == instant else instant


def instants_between(schedule: Schedule, since: datetime, until: datetime) -> list[Due]:
    """From `since` (included) to `until` (not included). Raises InvalidInput above 1,000."""
    pairs = with_due(schedule.spec, schedule.id, since - timedelta(microseconds=1))
    found: list[Due] = []
    for pair in pairs:
        if pair[0] >= until:
            break
        if len(found) == MAX_BACKFILL:
            raise InvalidInput(
                f"from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC schedule {schedule.spec.name!r} of "
                f"flow {schedule.flow_name!r} has more than {MAX_BACKFILL:,} instants; the last that could be taken is "
                f"{found[-1][0]:%Y-%m-%d %H:%M:%S} UTC: narrow the range"
            )
        found.append(pair)
    return found


def backfilled(schedule: Schedule, due: Due, by: str, stamp: Stamp) -> ScheduleFired:
    return ScheduleFired(
        id=stamp.event_id,
        at=stamp.now,
        source=SOURCE,
        run_id=ids.scheduled_run_id(schedule.id, due[0]),
        schedule_id=schedule.id,
        at_instant=due[0],
        due_at=due[1],
        late_ms=max(_ms(stamp.now - due[1]), 0),
        backfill=True,
        by=by,
    )


def last_fired(schedule: Schedule) -> ScheduleFired:
    """What was decided about its last run. Of a schedule that has one."""
    assert schedule.last_instant is not None
    assert schedule.last_fired_at is not None
    return ScheduleFired(
        id="",
        at=schedule.last_fired_at,
        source=SOURCE,
        run_id=schedule.last_run_id,
        schedule_id=schedule.id,
        at_instant=schedule.last_instant,
        due_at=due_of(schedule, schedule.last_instant),
    )


def condense(schedule: Schedule | None, stamp: Stamp) -> tuple[Event, ...]:
    if schedule is None or schedule.removed:
        return ()
    return (
        ScheduleCondensed(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            schedule_id=schedule.id,
            flow_id=schedule.flow_id,
            flow_name=schedule.flow_name,
            spec=schedule.spec,
            made_by=schedule.made_by,
            created_at=schedule.created_at,
            updated_at=schedule.updated_at,
            decided_through=schedule.decided_through,
            paused=schedule.paused,
            paused_by=schedule.paused_by,
            deferred=schedule.deferred,
            fired=schedule.fired,
            skipped=schedule.skipped,
            last_fired_at=schedule.last_fired_at,
            last_instant=schedule.last_instant,
            last_run_id=schedule.last_run_id,
            last_late_ms=schedule.last_late_ms,
        ),
    )


def _undecided(schedule: Schedule) -> Iterator[Due]:
    return with_due(schedule.spec, schedule.id, schedule.decided_through)


def _decide_deferred(schedule: Schedule, situation: Situation) -> tuple[Event, ...]:
    due = (schedule.deferred[0], due_of(schedule, schedule.deferred[0]))
    if _is_too_late(schedule, situation, due[1]):
        return (_skipped(schedule, situation, "max_lateness", [due]),)
    return (_fired(schedule, situation, due),)


def _skip(schedule: Schedule, situation: Situation, undecided: Iterator[Due]) -> ScheduleSkipped | None:
    """All in a row that are skipped for the same reason, up to 5,000."""
    found: list[Due] = []
    reason: SkipReason | None = None
    due = next(undecided)
    for following in chain(undecided, [None]):
        why = _why_skipped(schedule, situation, due, following)
        if why is None or (reason is not None and why != reason):
            break
        reason = why
        found.append(due)
        if following is None or len(found) == SKIPPED_AT_ONCE:
            break
        due = following
    return _skipped(schedule, situation, reason, found) if reason is not None else None


def _why_skipped(
    schedule: Schedule, situation: Situation, due: Due, following: Due | None
) -> SkipReason | None:
    if due[1] > situation.now:
        return None
    catchup = schedule.spec.catchup
    if due[1] < situation.missed_before and (
        catchup == "none"
        or (catchup == "last" and following is not None and following[1] < situation.missed_before)
    ):
        return "catchup"
    if _is_too_late(schedule, situation, due[1]):
        return "max_lateness"
    return None


def _is_too_late(schedule: Schedule, situation: Situation, due_at: datetime) -> bool:
    most = schedule.spec.max_lateness_ms
    return most is not None and situation.now - due_at > timedelta(milliseconds=most)


def _skipped(
    schedule: Schedule, situation: Situation, reason: SkipReason, instants: Sequence[Due], detail: str = ""
) -> ScheduleSkipped:
    spec = schedule.spec
    details = {
        "catchup": "passed while no engine was there"
        + (": only the last is caught up on" if spec.catchup == "last" else ""),
        "max_lateness": f"too late by more than {(spec.max_lateness_ms or 0) / 1000:g} s",
    }
    (first, _), (last, due_at) = instants[0], instants[-1]
    return ScheduleSkipped(
        id=situation.stamp.event_id,
        at=situation.now,
        source=SOURCE,
        schedule_id=schedule.id,
        at_instant=first,
        reason=reason,
        detail=detail or details.get(reason, ""),
        late_ms=max(_ms(situation.now - due_at), 0),
        through=last if len(instants) > 1 else None,
        count=len(instants),
    )


def _overlaps(schedule: Schedule, situation: Situation, due: Due, detail: str) -> ScheduleSkipped:
    return _skipped(schedule, situation, "overlap", [due], detail)


def _deferred(schedule: Schedule, situation: Situation, due: Due) -> ScheduleDeferred:
    return ScheduleDeferred(
        id=situation.stamp.event_id,
        at=situation.now,
        source=SOURCE,
        schedule_id=schedule.id,
        at_instant=due[0],
        due_at=due[1],
        behind=next(iter(situation.live), ""),
    )


def _fired(schedule: Schedule, situation: Situation, due: Due, cancelled: list[str] | None = None) -> Event:
    if situation.refusal:
        return _skipped(schedule, situation, "rejected", [due], situation.refusal)
    return ScheduleFired(
        id=situation.stamp.event_id,
        at=situation.now,
        source=SOURCE,
        run_id=ids.scheduled_run_id(schedule.id, due[0]),
        schedule_id=schedule.id,
        at_instant=due[0],
        due_at=due[1],
        late_ms=max(_ms(situation.now - due[1]), 0),
        cancelled=cancelled or [],
    )


def _runs(live: Sequence[str]) -> str:
    return f"run {live[0]} has" if len(live) == 1 else f"{len(live)} runs have"


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
