"""Schedules as the gateway shows them: what the registry keeps, what the engine says comes, what the read model says was
decided; in words, too.
"""

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_gateway import shapes
from perfect_gateway.ask import Asker
from perfect_schemas import commands, queries, subjects
from perfect_schemas.commands import Backfilled, ScheduleView
from perfect_schemas.errors import FieldError, InvalidInput, NotFound
from perfect_schemas.ids import is_id
from perfect_schemas.queries import ScheduleDecisions, ScheduledInstant
from perfect_schemas.schedule import ScheduleSpec
from perfect_schemas.schedule_decision import ScheduleDecisionView
from perfect_schemas.schedule_words import words

A_PAGE = 100
LATE_MS = 60_000
MOST_LATE = 200
BACKFILL_S = 60.0  # up to 1,000 runs are started; a repeat of the command waits for the first
ScheduleState = Literal["active", "paused", "over"]


class ShownSchedule(ScheduleView, frozen=True, kw_only=True, omit_defaults=False):
    """words: its rule as a person would say it. state: over: it has no instant any more. last_decision: also about a
    backfill.
    """

    words: str
    state: ScheduleState
    last_decision: ScheduleDecisionView | None = None


def shown(view: ScheduleView, last: ScheduleDecisionView | None) -> ShownSchedule:
    state: ScheduleState = "paused" if view.paused else "active" if view.next_at or view.deferred else "over"
    fields = {name: getattr(view, name) for name in view.__struct_fields__}
    return ShownSchedule(**fields, words=words(view.spec), state=state, last_decision=last)


async def all_shown(asker: Asker, flow: str | None = None) -> list[ShownSchedule]:
    """By flow and name. flow: of that one, by id or name."""
    views = await asker.command(
        "registry", "schedules", commands.ShowSchedules(flow=flow), list[ScheduleView]
    )
    if not views:
        return []
    decided, _ = await asker.value(
        "schedule_decisions", queries.ScheduleDecisionPage(last=True), ScheduleDecisions
    )
    last = {one.schedule_id: one for one in decided.decisions}
    return [shown(view, last.get(view.id)) for view in views]


class SchedulePage(msgspec.Struct, frozen=True):
    """schedules: by flow and name. following: what the next page comes after, None on the last one. known: how many there
    are in all.
    """

    schedules: list[ShownSchedule]
    following: str | None
    known: int


def place(one: ScheduleView) -> tuple[str, str, str]:
    return one.flow_name, one.name, one.id


def paged(found: list[ShownSchedule], after: str | None, limit: int = A_PAGE) -> SchedulePage:
    """Pure. after: `following` of the page before: where a schedule stood, which may be gone. Raises InvalidInput."""
    rows = sorted(found, key=place)
    if after:
        begins = place_after(after)
        rows = [one for one in rows if place(one) > begins]
    shown_rows, more = rows[:limit], len(rows) > limit
    following = json.dumps(place(shown_rows[-1]), ensure_ascii=False) if more else None
    return SchedulePage(shown_rows, following, len(found))


def place_after(text: str) -> tuple[str, str, str]:
    """Raises InvalidInput for what `paged` did not make."""
    try:
        return msgspec.json.decode(text, type=tuple[str, str, str])
    except (msgspec.DecodeError, UnicodeError) as error:
        detail = "after is not where a page ended: leave it out to begin with the first"
        raise InvalidInput(detail, [FieldError("after", detail)]) from error


async def one_shown(
    asker: Asker, schedule_id: str, heard: ScheduleDecisionView | None = None
) -> ShownSchedule:
    """heard: a decision that the read model may not have yet. Raises NotFound."""
    view, (decided, _) = await asyncio.gather(
        view_of(asker, schedule_id),
        asker.value(
            "schedule_decisions",
            queries.ScheduleDecisionPage(schedule_id=schedule_id, limit=1),
            ScheduleDecisions,
        ),
    )
    last = max(
        (one for one in [*decided.decisions, heard] if one), key=lambda one: one.decided_at, default=None
    )
    return shown(view, last)


async def view_of(asker: Asker, schedule_id: str) -> ScheduleView:
    """Raises NotFound."""
    if not is_id(schedule_id):
        raise NotFound(
            f"there is no schedule {schedule_id[:200]!r}: a schedule's id is a UUID in its dashed lower-case form"
        )
    return await asker.command(
        "registry", "schedule", commands.ShowSchedule(schedule=schedule_id), ScheduleView
    )


async def coming(
    asker: Asker, schedule_id: str, count: int, after: datetime | None = None
) -> list[ScheduledInstant]:
    """Its next instants, also of one that is paused. Raises NotFound."""
    query = queries.SchedulePreview(schedule_id=schedule_id, count=count, after=after)
    return (await asker.value("schedule_preview", query, list[ScheduledInstant]))[0]


async def previewed(
    asker: Asker, spec: ScheduleSpec, count: int, after: datetime | None = None
) -> list[ScheduledInstant]:
    """Raises InvalidInput naming every wrong field, as `spec.cron`."""
    query = queries.SchedulePreview(spec=spec, count=count, after=after)
    return (await asker.value("schedule_preview", query, list[ScheduledInstant]))[0]


async def decisions(asker: Asker, query: queries.ScheduleDecisionPage) -> ScheduleDecisions:
    return (await asker.value("schedule_decisions", query, ScheduleDecisions))[0]


async def late(asker: Asker, since: datetime) -> list[dict[str, Any]]:
    """What was decided since then and was a minute late, or did not run although nothing ran before it: of each schedule the
    last such decision, and as `times` how many there were among the last 200.
    """
    query = queries.ScheduleDecisionPage(since=since, late_ms=LATE_MS, limit=MOST_LATE)
    found: dict[str, dict[str, Any]] = {}
    for one in (await decisions(asker, query)).decisions:
        if one.reason != "overlap":
            found.setdefault(one.schedule_id, shapes.plain(one) | {"times": 0})["times"] += one.count
    return list(found.values())


async def backfill(asker: Asker, command: commands.BackfillSchedule) -> Backfilled:
    """Raises NotFound, InvalidInput."""
    subject = subjects.command("engine", "backfill_schedule")
    reply = await asker.bus.ask(subject, command, timeout_s=BACKFILL_S)
    return msgspec.json.decode(reply.value, type=Backfilled)


def shape(schedule: ShownSchedule) -> dict[str, Any]:
    """As pages take it: the spec with its defaults written out."""
    found = shapes.plain(schedule)
    found["spec"] = shapes.plain(msgspec.structs.asdict(schedule.spec))
    return found


def shapes_of(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [shapes.plain(one) for one in found]
