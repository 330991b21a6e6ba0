"""Schedules: list, show, make, change, pause, and see what comes and what was decided."""

import contextlib
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, delete, get, patch, post

from perfect_gateway import schedules
from perfect_gateway.api import schedule_examples as examples
from perfect_gateway.parts import Parts
from perfect_gateway.schedule_change import changed, check_parameters, known_spec
from perfect_gateway.schedules import ScheduleState, ShownSchedule
from perfect_gateway.wire import AnyRequest, aware, body, json, page, query
from perfect_runtime import occurrence
from perfect_schemas import commands, queries
from perfect_schemas.commands import Backfilled, ScheduleView
from perfect_schemas.envelope import Configuration, Instant
from perfect_schemas.errors import Conflicting, NotFound
from perfect_schemas.queries import ScheduledInstant
from perfect_schemas.schedule import Catchup, Overlap, ScheduleSpec
from perfect_schemas.schedule_decision import Decision, ScheduleDecisionView
from perfect_schemas.views import FlowView

BY = "api"
Count = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class ScheduleQuery(msgspec.Struct, frozen=True, kw_only=True):
    """flow: id or name. state: over: without any instant to come."""

    flow: str | None = None
    state: ScheduleState | None = None


class NextQuery(msgspec.Struct, frozen=True, kw_only=True):
    """n: how many. after: the first instants after it; without a zone it is UTC."""

    n: Count = 10
    after: datetime | None = None


class DecisionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """decision: fired, skipped, deferred. since, until: decided from the one on and before the other. late_ms: just what was
    that late, or skipped.
    """

    decision: list[Decision] = []
    since: datetime | None = None
    until: datetime | None = None
    late_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    limit: Count = 50
    cursor: str | None = None


class ScheduleBody(msgspec.Struct, frozen=True, kw_only=True):
    """flow: id or name."""

    flow: str
    spec: ScheduleSpec


class ScheduleChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be another; null takes the default. A cron line, an interval, a rule or an `at` takes the place of what it
    went by before.
    """

    kind: Literal["cron", "interval", "rrule", "once"] | None = None
    cron: str | None = None
    timezone: str | None = None
    interval_ms: int | None = None
    anchor: Instant | None = None
    rrule: str | None = None
    at: Instant | None = None
    jitter_ms: int | None = None
    catchup: Catchup | None = None
    max_lateness_ms: int | None = None
    overlap: Overlap | None = None
    parameters: dict[str, Any] | None = None
    configuration: Configuration | None = None
    tags: list[str] | None = None
    deployment: str | None = None
    active: bool | None = None


class PreviewBody(msgspec.Struct, frozen=True, kw_only=True):
    """spec: of a schedule that need not be kept. n: how many instants. after: those after it; None: after now."""

    spec: ScheduleSpec
    n: Count = 10
    after: datetime | None = None


class BackfillBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each instant from `since` (included) to `until` (not included) gets its run; without a zone they are UTC. dry_run: just
    say which.
    """

    since: datetime
    until: datetime
    dry_run: bool = False


class _Raw(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    flow: str
    spec: dict[str, Any]


class _RawPreview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    spec: dict[str, Any]
    n: Count = 10
    after: datetime | None = None


async def create(parts: Parts, flow: str, spec: ScheduleSpec) -> ShownSchedule:
    """Raises Conflicting when the flow has one of that name, NotFound, InvalidInput."""
    for one in await schedules.all_shown(parts.asker, flow):
        if one.name == spec.name:
            raise Conflicting(
                f"flow {one.flow_name!r} has a schedule {spec.name!r} already ({one.words}): change that one, or give "
                "this one another name"
            )
    return await save(parts, flow, spec)


async def save(parts: Parts, flow: str, spec: ScheduleSpec) -> ShownSchedule:
    """Raises NotFound, InvalidInput, also for runs that would all be refused for want of a parameter."""
    occurrence.check(spec, "spec.")
    with contextlib.suppress(NotFound):  # the registry says it better
        found, _ = await parts.asker.value("flow", queries.FlowDetail(flow=flow), FlowView)
        check_parameters(found, spec)
    command = commands.SaveSchedule(flow=flow, spec=spec, by=BY)
    return schedules.shown(
        await parts.asker.command("registry", "save_schedule", command, ScheduleView), None
    )


async def change(parts: Parts, schedule_id: str, given: dict[str, Any]) -> ShownSchedule:
    """Raises NotFound, InvalidInput."""
    view = await schedules.view_of(parts.asker, schedule_id)
    await save(parts, view.flow_id, changed(view.spec, given))
    return await schedules.one_shown(parts.asker, schedule_id)


async def pause(parts: Parts, schedule_id: str) -> None:
    command = commands.PauseSchedule(schedule_id=schedule_id, by=BY)
    await parts.asker.command("registry", "pause_schedule", command, ScheduleView)


async def resume(parts: Parts, schedule_id: str) -> None:
    command = commands.ResumeSchedule(schedule_id=schedule_id, by=BY)
    await parts.asker.command("registry", "resume_schedule", command, ScheduleView)


async def remove(parts: Parts, schedule_id: str) -> None:
    await schedules.view_of(parts.asker, schedule_id)
    command = commands.RemoveSchedule(schedule_id=schedule_id, by=BY)
    await parts.asker.command("registry", "remove_schedule", command, commands.Done)


def _id(request: AnyRequest) -> str:
    return str(request.path_params["schedule_id"])


def routes(parts: Parts) -> list[Any]:
    asker = parts.asker

    @get(
        "/api/schedules",
        opt={
            "query": ScheduleQuery,
            "answers": {200: list[ShownSchedule]},
            "problems": (404,),
            "examples": {200: [examples.SCHEDULE]},
        },
    )
    async def all_schedules(request: AnyRequest) -> Response[bytes]:
        """All schedules by flow and name, each with its next instant and what was decided last."""
        wanted = query(request, ScheduleQuery)
        found = await schedules.all_shown(asker, wanted.flow)
        return json([one for one in found if wanted.state in (None, one.state)])

    @get(
        "/api/schedules/{schedule_id:str}",
        opt={"answers": {200: ShownSchedule}, "examples": {200: examples.SCHEDULE}},
    )
    async def schedule(request: AnyRequest) -> Response[bytes]:
        """One schedule."""
        return json(await schedules.one_shown(asker, _id(request)))

    @post(
        "/api/schedules",
        status_code=201,
        opt={
            "body": ScheduleBody,
            "example": {"flow": "etl", "spec": examples.SPEC},
            "answers": {201: ShownSchedule},
            "problems": (404, 409),
            "examples": {201: examples.SCHEDULE},
        },
    )
    async def create_schedule(request: AnyRequest) -> Response[bytes]:
        """Have a flow run by itself. 409 when the flow has a schedule of that name; 422 names every field that is wrong."""
        wanted = await body(request, _Raw)
        made = await create(parts, wanted.flow, known_spec(wanted.spec))
        return json(made, status=201, headers={"location": f"/api/schedules/{made.id}"})

    @patch(
        "/api/schedules/{schedule_id:str}",
        opt={
            "body": ScheduleChange,
            "example": {"cron": "0 3 * * *", "overlap": "skip"},
            "answers": {200: ShownSchedule},
            "examples": {200: examples.SCHEDULE},
        },
    )
    async def change_schedule(request: AnyRequest) -> Response[bytes]:
        """Change what is given, leave the rest. New times count from now on; the name stays."""
        given = await body(request, dict[str, Any])  # type: ignore[type-var]
        return json(await change(parts, _id(request), given))

    @delete("/api/schedules/{schedule_id:str}", status_code=204, opt={"answers": {204: None}})
    async def remove_schedule(request: AnyRequest) -> None:
        """Remove a schedule. Runs that it has started go on; its history stays."""
        await remove(parts, _id(request))

    @post(
        "/api/schedules/{schedule_id:str}/pause",
        status_code=200,
        opt={
            "answers": {200: ShownSchedule},
            "examples": {200: examples.SCHEDULE | {"paused": True, "state": "paused"}},
        },
    )
    async def pause_schedule(request: AnyRequest) -> Response[bytes]:
        """Pause a schedule: nothing fires until it is resumed. Harmless when it is paused."""
        await pause(parts, _id(request))
        return json(await schedules.one_shown(asker, _id(request)))

    @post(
        "/api/schedules/{schedule_id:str}/resume",
        status_code=200,
        opt={"answers": {200: ShownSchedule}, "examples": {200: examples.SCHEDULE}},
    )
    async def resume_schedule(request: AnyRequest) -> Response[bytes]:
        """Let a schedule fire again. What passed while it was paused is not caught up on: backfill it."""
        await resume(parts, _id(request))
        return json(await schedules.one_shown(asker, _id(request)))

    @get(
        "/api/schedules/{schedule_id:str}/next",
        opt={
            "query": NextQuery,
            "answers": {200: list[ScheduledInstant]},
            "examples": {200: [examples.INSTANT]},
        },
    )
    async def next_instants(request: AnyRequest) -> Response[bytes]:
        """The next instants, also of a paused schedule; fewer when it ends."""
        wanted = query(request, NextQuery)
        return json(await schedules.coming(asker, _id(request), wanted.n, aware(wanted.after)))

    @get(
        "/api/schedules/{schedule_id:str}/decisions",
        opt={
            "query": DecisionQuery,
            "answers": {200: list[ScheduleDecisionView]},
            "examples": {200: [examples.DECISION]},
        },
    )
    async def decisions(request: AnyRequest) -> Response[bytes]:
        """What was decided about its instants, newest first; also of a removed schedule."""
        wanted, schedule_id = query(request, DecisionQuery), _id(request)
        found = await schedules.decisions(
            asker,
            queries.ScheduleDecisionPage(
                schedule_id=schedule_id,
                decision=list(wanted.decision),
                since=aware(wanted.since),
                until=aware(wanted.until),
                late_ms=wanted.late_ms,
                limit=wanted.limit,
                cursor=wanted.cursor,
            ),
        )
        if not found.decisions:
            await schedules.view_of(asker, schedule_id)
        return page(request, found.decisions, found.next)

    @post(
        "/api/schedules/preview",
        status_code=200,
        opt={
            "body": PreviewBody,
            "example": {"spec": examples.SPEC, "n": 3},
            "answers": {200: list[ScheduledInstant]},
            "examples": {200: [examples.INSTANT]},
        },
    )
    async def preview(request: AnyRequest) -> Response[bytes]:
        """When a schedule like this would fire. Nothing is kept."""
        wanted = await body(request, _RawPreview)
        return json(await schedules.previewed(asker, known_spec(wanted.spec), wanted.n, aware(wanted.after)))

    @post(
        "/api/schedules/{schedule_id:str}/backfill",
        status_code=200,
        opt={
            "body": BackfillBody,
            "example": examples.BACKFILL,
            "answers": {200: Backfilled},
            "examples": {200: examples.BACKFILLED},
        },
    )
    async def backfill(request: AnyRequest) -> Response[bytes]:
        """Start a run for each instant of a range that has none, 1,000 at most. Repeating it starts nothing new."""
        wanted = await body(request, BackfillBody)
        since, until = aware(wanted.since), aware(wanted.until)
        assert since is not None
        assert until is not None
        command = commands.BackfillSchedule(
            schedule_id=_id(request), since=since, until=until, by=BY, dry_run=wanted.dry_run
        )
        return json(await schedules.backfill(asker, command))

    return [
        all_schedules, schedule, create_schedule, change_schedule, remove_schedule, pause_schedule, resume_schedule,
        next_instants, decisions, preview, backfill,
    ]  # fmt: skip
