"""Schedules on a real nats-server: kept by the registry, fired by the engine."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from engine_asked import end
from fake_worker import Worker, register

from perfect_bus import Guard, append
from perfect_engine.service import EngineService
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import (
    Backfilled,
    BackfillSchedule,
    DeclareSchedules,
    PauseSchedule,
    RemoveFlow,
    RemoveSchedule,
    ResumeSchedule,
    SaveSchedule,
    ScheduleView,
    ShowSchedule,
    ShowSchedules,
)
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.events import Deployment, RunScheduled, ScheduleFired
from perfect_schemas.queries import ScheduledInstant, SchedulePreview
from perfect_schemas.schedule import ScheduleSpec

EVERY_SECOND = ScheduleSpec(name="ticks", kind="cron", cron="* * * * * *", catchup="all")
FAR = ScheduleSpec(name="far", kind="cron", cron="0 0 1 1 *")


class Listener:
    """The events of all schedules as they come."""

    def __init__(self):
        self.events = []
        self._came = asyncio.Condition()

    async def heard(self, msg, _):
        self.events.append(codec.decode(msg.data))
        async with self._came:
            self._came.notify_all()

    def of(self, kind):
        return [event for event in self.events if event.type == f"schedule.{kind}"]

    async def until(self, holds, timeout=60):
        async with asyncio.timeout(timeout), self._came:
            await self._came.wait_for(holds)


@pytest.fixture
async def said(bus):
    listener = Listener()
    following = await bus.follow("DEFS", listener.heard, after=0, subject=subjects.ALL_SCHEDULES)
    yield listener
    await following.unsubscribe()


async def ask(bus, verb, command, kind=ScheduleView, service="registry"):
    reply = await bus.ask(subjects.command(service, verb), command)
    return msgspec.json.decode(reply.value, type=kind)


async def save(bus, spec, flow="etl"):
    return await ask(bus, "save_schedule", SaveSchedule(flow=flow, spec=spec, by="ann"))


async def scheduled(bus, run_id):
    """The run's beginnings, once there is one: the decision comes first, the run right after it."""
    begun = asyncio.Event()

    async def heard(*_):
        begun.set()

    following = await bus.follow("EVENTS", heard, after=0, subject=subjects.run(run_id))
    async with asyncio.timeout(60):
        await begun.wait()
    await following.unsubscribe()
    return [event for _, event in await bus.read(subjects.run(run_id)) if isinstance(event, RunScheduled)]


async def test_a_fire_is_a_run_with_an_id_that_follows_from_it(bus, engine, said):
    await register(bus, "etl")
    kept = await save(
        bus, msgspec.structs.replace(EVERY_SECOND, tags=["a"], configuration="debug", parameters={})
    )
    assert kept.id == ids.schedule_id(ids.flow_id("etl"), "ticks")
    await said.until(lambda: len(said.of("fired")) >= 2)
    for fired in said.of("fired"):
        assert fired.run_id == ids.scheduled_run_id(kept.id, fired.at_instant)
        [run] = await scheduled(bus, fired.run_id)
        assert (run.schedule_id, run.origin, run.due_at) == (kept.id, "schedule", fired.at_instant)
        assert (run.tags, run.configuration, run.backfill) == (["a"], "debug", False)
    shown = await ask(bus, "schedule", ShowSchedule(schedule="etl/ticks"))
    assert shown.fired >= 2
    assert shown.next_at is not None


@pytest.mark.parametrize("what", ["engine", "server"])
async def test_nothing_twice_or_missed_across_a_restart(bus, engine, said, start_service, nats_server, what):
    await register(bus, "etl")
    await save(bus, EVERY_SECOND)
    await said.until(lambda: said.of("fired"))
    if what == "engine":
        await end(engine)
        await start_service(EngineService)
    else:
        nats_server.kill()
        nats_server.start()
    count = len(said.of("fired"))
    await said.until(lambda: len(said.of("fired")) >= count + 3, 30)
    instants = [fired.at_instant for fired in said.of("fired")]
    first = instants[0]
    assert instants == [first + timedelta(seconds=n) for n in range(len(instants))]
    for fired in said.of("fired"):
        assert len(await scheduled(bus, fired.run_id)) == 1


async def test_a_decision_whose_run_was_not_started_is_followed_by_it(bus, registry, said, start_service):
    """The engine was killed between the two."""
    await register(bus, "etl")
    kept = await save(bus, FAR)
    instant = utc_now().replace(microsecond=0)
    fired = ScheduleFired(
        id=ids.uuid7(), at=utc_now(), source="engine", schedule_id=kept.id, at_instant=instant, due_at=instant,
        run_id=ids.scheduled_run_id(kept.id, instant),
    )  # fmt: skip
    subject = subjects.schedule(kept.id)
    [(seq, _)] = await bus.read(subject, stream="DEFS")
    await append(bus, subject, fired, Guard(subject, seq))
    await start_service(EngineService)
    [run] = await scheduled(bus, fired.run_id)
    assert run.due_at == instant
    assert len(said.of("fired")) == 1


async def test_runs_of_a_deployments_schedule_get_what_it_says(bus, engine, said):
    deployment = Deployment(name="nightly", parameters={"day": "x", "n": 1}, tags=["d"])
    schema = {"type": "object", "properties": {"day": {"type": "string"}, "n": {"type": "integer"}}}
    await register(bus, "etl", parameters=schema, deployments=[deployment])
    spec = msgspec.structs.replace(EVERY_SECOND, parameters={"n": 2}, tags=["s"])
    command = DeclareSchedules(flow="etl", deployment="nightly", schedules=[spec])
    [view] = await ask(bus, "declare_schedules", command, list[ScheduleView])
    assert view.spec.deployment == "nightly"
    await said.until(lambda: said.of("fired"))
    [run] = await scheduled(bus, said.of("fired")[0].run_id)
    assert (run.deployment, run.parameters, run.tags) == ("nightly", {"day": "x", "n": 2}, ["d", "s"])
    gone = await ask(bus, "declare_schedules", msgspec.structs.replace(command, schedules=[]), list)
    assert gone == []
    assert await ask(bus, "schedules", ShowSchedules(), list[ScheduleView]) == []


async def test_a_cron_line_in_a_definition_and_one_that_fires_once(bus, engine, said):
    await register(bus, "etl", schedule="* * * * * *")
    await register(bus, "other", schedule="whenever")
    at = utc_now() + timedelta(seconds=1.5)
    once = await save(bus, ScheduleSpec(name="once", kind="once", at=at), "other")
    await said.until(lambda: {fired.schedule_id for fired in said.of("fired")} >= {once.id})
    [fired] = [fired for fired in said.of("fired") if fired.schedule_id == once.id]
    assert fired.at_instant == at
    shown = await ask(bus, "schedules", ShowSchedules(), list[ScheduleView])
    assert [(one.flow_name, one.name, one.next_at is None) for one in shown] == [
        ("etl", "default", False), ("other", "once", True)
    ]  # fmt: skip


async def test_catching_up_on_the_last_only(bus, engine, said, start_service):
    await register(bus, "etl")
    await save(bus, msgspec.structs.replace(EVERY_SECOND, catchup="last"))
    await said.until(lambda: said.of("fired"))
    await end(engine)
    last = said.of("fired")[-1].at_instant
    while utc_now() < last + timedelta(seconds=3.1):
        await asyncio.sleep(0.1)
    before = len(said.of("fired"))
    await start_service(EngineService)
    await said.until(lambda: said.of("skipped") and len(said.of("fired")) > before)
    [skipped] = said.of("skipped")
    assert (skipped.reason, skipped.at_instant) == ("catchup", last + timedelta(seconds=1))
    through = skipped.through or skipped.at_instant
    assert skipped.count == (through - skipped.at_instant) / timedelta(seconds=1) + 1
    assert said.of("fired")[before].at_instant == through + timedelta(seconds=1)


async def test_pause_and_resume(bus, engine, said):
    await register(bus, "etl")
    kept = await save(bus, EVERY_SECOND)
    await said.until(lambda: said.of("fired"))
    paused = await ask(bus, "pause_schedule", PauseSchedule(schedule_id=kept.id, by="ann"))
    assert (paused.paused, paused.paused_by, paused.next_at) == (True, "ann", None)
    last = said.of("fired")[-1].at_instant
    while utc_now() < last + timedelta(seconds=2.5):
        await asyncio.sleep(0.1)
    await ask(bus, "resume_schedule", ResumeSchedule(schedule_id=kept.id))
    await said.until(lambda: said.of("resumed") and said.events[-1].type == "schedule.fired")
    assert said.of("skipped") == []
    assert said.of("fired")[-1].at_instant >= said.of("resumed")[0].at
    await ask(bus, "remove_schedule", RemoveSchedule(schedule_id=kept.id), dict)
    with pytest.raises(NotFound):
        await ask(bus, "schedule", ShowSchedule(schedule=kept.id))


async def test_a_persons_pause_survives_registration_and_what_vanishes_goes(bus, engine, said):
    specs = [FAR, msgspec.structs.replace(FAR, name="other")]
    await register(bus, "etl", flow_version="v1", schedules=specs)
    shown = await ask(bus, "schedules", ShowSchedules(flow="etl"), list[ScheduleView])
    assert [(one.name, one.made_by, one.paused) for one in shown] == [
        ("far", "code", False), ("other", "code", False)
    ]  # fmt: skip
    await ask(bus, "pause_schedule", PauseSchedule(schedule_id=shown[0].id, by="ann"))
    await save(bus, msgspec.structs.replace(FAR, name="by-hand"))
    await register(bus, "etl", flow_version="v1", schedules=specs[:1])
    shown = await ask(bus, "schedules", ShowSchedules(flow="etl"), list[ScheduleView])
    assert [(one.name, one.made_by, one.paused) for one in shown] == [
        ("by-hand", "api", False), ("far", "code", True)
    ]  # fmt: skip
    await register(bus, "etl", flow_version="v1")  # says nothing of schedules
    assert len(await ask(bus, "schedules", ShowSchedules(flow="etl"), list[ScheduleView])) == 2
    await bus.ask(subjects.command("registry", "remove"), RemoveFlow(flow_id=ids.flow_id("etl")))
    assert await ask(bus, "schedules", ShowSchedules(), list[ScheduleView]) == []


async def test_wrong_schedules_name_every_field_and_register_nothing(bus, registry):
    wrong = [
        ScheduleSpec(name="a", kind="cron", cron="61 * * * *"),
        ScheduleSpec(name="b c", kind="interval", interval_ms=5, timezone="Europe/Nowhere"),
    ]
    with pytest.raises(InvalidInput) as caught:
        await register(bus, "etl", schedules=wrong)
    assert {error.field for error in caught.value.errors} == {
        "schedules.0.cron", "schedules.1.name", "schedules.1.interval_ms", "schedules.1.timezone"
    }  # fmt: skip
    assert await bus.read(subjects.flow(ids.flow_id("etl")), stream="DEFS") == []


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running"])
async def test_overlap(bus, engine, said, overlap):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30.0).connect()
    await save(bus, msgspec.structs.replace(EVERY_SECOND, overlap=overlap))
    claimed = await worker.start("etl")
    if overlap == "skip":
        await said.until(lambda: said.of("skipped"))
        assert said.of("skipped")[0].reason == "overlap"
        assert claimed.run_id in said.of("skipped")[0].detail
        assert len(said.of("fired")) == 1
    elif overlap == "queue":
        await said.until(lambda: len(said.of("deferred")) >= 2)
        assert [fired.run_id for fired in said.of("fired")] == [claimed.run_id]
        first = said.of("deferred")[0]
        assert first.behind == claimed.run_id
        await worker.complete(claimed)
        await said.until(lambda: len(said.of("fired")) >= 2)
        assert said.of("fired")[1].at_instant == first.at_instant
    else:
        await said.until(lambda: len(said.of("fired")) >= 2)
        assert said.of("fired")[1].cancelled == [claimed.run_id]
        types = [event.type for _, event in await bus.read(subjects.run(claimed.run_id))]
        assert "run.cancelling" in types


async def test_what_would_be_refused_is_skipped_with_the_reason(bus, engine, said):
    schema = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
    await register(bus, "etl", parameters=schema)
    await save(bus, EVERY_SECOND)
    await said.until(lambda: said.of("skipped"))
    assert said.of("skipped")[0].reason == "rejected"
    assert "day" in said.of("skipped")[0].detail
    assert said.of("fired") == []


async def test_backfill(bus, engine, said):
    await register(bus, "etl")
    kept = await save(bus, msgspec.structs.replace(FAR, cron="0 * * * *", overlap="skip"))
    since = (utc_now() - timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
    command = BackfillSchedule(
        schedule_id=kept.id, since=since, until=since + timedelta(hours=3), by="ann", dry_run=True
    )
    dry = await ask(bus, "backfill_schedule", command, Backfilled, "engine")
    assert [one.at_instant for one in dry.instants] == [since + timedelta(hours=n) for n in range(3)]
    assert (dry.started, dry.dry_run, said.of("fired")) == (3, True, [])
    command = msgspec.structs.replace(command, dry_run=False)
    done, again = await asyncio.gather(
        *(ask(bus, "backfill_schedule", command, Backfilled, "engine") for _ in range(2))
    )
    assert done == again
    assert [one.run_id for one in done.instants] == [one.run_id for one in dry.instants]
    for one in done.instants:
        [run] = await scheduled(bus, one.run_id)
        assert (run.backfill, run.schedule_id, run.due_at) == (True, kept.id, one.at_instant)
    await said.until(lambda: len(said.of("fired")) == 3)
    assert all(fired.backfill for fired in said.of("fired"))
    wider = msgspec.structs.replace(command, until=since + timedelta(hours=4))
    more = await ask(bus, "backfill_schedule", wider, Backfilled, "engine")
    assert [one.new for one in more.instants] == [False, False, False, True]
    assert more.started == 1
    with pytest.raises(InvalidInput, match="more than 1,000 instants"):
        await ask(
            bus,
            "backfill_schedule",
            msgspec.structs.replace(command, since=since - timedelta(days=60)),
            Backfilled,
            "engine",
        )


async def test_preview_of_one_that_is_kept_and_of_any(bus, engine):
    async def preview(**query):
        reply = await bus.ask(subjects.query("schedule_preview"), SchedulePreview(**query))
        return msgspec.json.decode(reply.value, type=list[ScheduledInstant])

    await register(bus, "etl")
    kept = await save(bus, msgspec.structs.replace(FAR, jitter_ms=60_000))
    after = datetime(2026, 6, 1, tzinfo=UTC)
    [one] = await preview(schedule_id=kept.id, after=after, count=1)
    assert one.at == datetime(2027, 1, 1, tzinfo=UTC)
    assert one.at <= one.due_at < one.at + timedelta(minutes=1)
    spec = ScheduleSpec(kind="cron", cron="30 2 * * *", timezone="Europe/Rome")
    found = await preview(spec=spec, after=datetime(2026, 3, 28, tzinfo=UTC), count=2)
    assert [one.local for one in found] == ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"]
    with pytest.raises(InvalidInput) as caught:
        await preview(spec=msgspec.structs.replace(spec, cron="* *"))
    assert [error.field for error in caught.value.errors] == ["spec.cron"]


async def test_a_long_past_is_condensed(bus, engine, said, start_service, monkeypatch):
    from perfect_engine import schedules_clock

    monkeypatch.setattr(schedules_clock, "CONDENSE_AFTER", 4)
    await register(bus, "etl")
    kept = await save(bus, EVERY_SECOND)
    await said.until(lambda: said.of("condensed"))
    await end(engine)
    condensed = said.of("condensed")[0]
    assert (condensed.fired, condensed.spec) == (3, EVERY_SECOND)
    await bus.js.purge_stream(
        "DEFS", subject=subjects.schedule(kept.id), keep=len(said.events) - said.events.index(condensed)
    )
    count = len(said.of("fired"))
    await start_service(EngineService)
    await said.until(lambda: len(said.of("fired")) > count)
    instants = [fired.at_instant for fired in said.of("fired")]
    assert instants == [instants[0] + timedelta(seconds=n) for n in range(len(instants))]
