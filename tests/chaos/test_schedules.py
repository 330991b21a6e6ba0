"""A schedule that fires every second, while its engine is killed and started again."""

import asyncio
import os
import signal
from datetime import timedelta

import msgspec
import pytest
from running import running

from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import RegisterFlow, SaveSchedule, ScheduleView, ShowSchedule
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunScheduled, ScheduleFired
from perfect_schemas.schedule import ScheduleSpec

FIRES = 60
KILL_AFTER = (15, 35)
BEFORE_S = 0.2  # so long before an instant the engine dies
SECOND = timedelta(seconds=1)


@pytest.mark.timeout(180)
async def test_60_of_60_exactly_once_while_the_engine_is_killed_twice(settings):
    async with running(settings) as system:
        bus = system.bus
        await bus.ask(subjects.command("registry", "register"), RegisterFlow(name="ticks"))
        fired: list[ScheduleFired] = []
        others = []
        came = asyncio.Condition()

        async def heard(msg, _):
            event = codec.decode(msg.data)
            (fired if isinstance(event, ScheduleFired) else others).append(event)
            async with came:
                came.notify_all()

        async def until(count):
            async with asyncio.timeout(90), came:
                await came.wait_for(lambda: len(fired) >= count)

        following = await bus.follow("DEFS", heard, after=0, subject=subjects.ALL_SCHEDULES)
        spec = ScheduleSpec(name="second", kind="cron", cron="* * * * * *", catchup="all")
        await bus.ask(subjects.command("registry", "save_schedule"), SaveSchedule(flow="ticks", spec=spec))

        away = []
        for count in KILL_AFTER:
            await until(count)
            await asyncio.sleep(((fired[-1].at_instant + SECOND) - utc_now()) / SECOND - BEFORE_S)
            killed_at = utc_now()
            pid = system.pid_of("engine")
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while system.pid_now("engine") in (pid, None):
                    await asyncio.sleep(0.02)
            await system.until_ready()
            away.append((killed_at, utc_now()))
        await until(FIRES + 1)  # then the run of the one before has been started
        await following.unsubscribe()

        instants = [event.at_instant for event in fired[:FIRES]]
        assert instants == [instants[0] + n * SECOND for n in range(FIRES)]
        assert [event.type for event in others] == ["schedule.created"]
        late_ms = []
        schedule_id = ids.schedule_id(ids.flow_id("ticks"), "second")
        for event in fired[:FIRES]:
            assert event.run_id == ids.scheduled_run_id(schedule_id, event.at_instant)
            said = [one for _, one in await bus.read(subjects.run(event.run_id))]
            [scheduled] = [one for one in said if isinstance(one, RunScheduled)]
            if not any(since <= event.at_instant <= until for since, until in away):
                late_ms.append((scheduled.at - event.at_instant) / timedelta(milliseconds=1))
        assert len(late_ms) < FIRES, "it was never away when something was due"
        last, _ = await bus.last_of_each(subjects.ALL_RUNS)
        runs = {subject.rpartition(".")[2] for subject in last}
        known = [ids.scheduled_run_id(schedule_id, instants[0] + n * SECOND) for n in range(2 * FIRES)]
        assert set(known[:FIRES]) <= runs <= set(known)
        shown = msgspec.json.decode(
            (
                await bus.ask(subjects.command("registry", "schedule"), ShowSchedule(schedule="ticks/second"))
            ).value,
            type=ScheduleView,
        )
        assert (shown.skipped, shown.fired >= FIRES) == (0, True)
        late_ms.sort()
        gone = ", ".join(f"{(until - since) / SECOND:.1f} s" for since, until in away)
        print(
            f"{FIRES} of {FIRES} fired exactly once; engine away {gone}; of {len(late_ms)} instants at which it was up: "
            f"p50 {late_ms[len(late_ms) // 2]:.1f} ms, p95 {late_ms[int(len(late_ms) * 0.95)]:.1f} ms, "
            f"most {late_ms[-1]:.1f} ms late"
        )
