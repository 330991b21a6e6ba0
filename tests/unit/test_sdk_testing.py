"""`perfect_sdk.testing`: flows of users under a clock of the test's, killed and run again anywhere."""

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta

import pytest

from perfect_schemas.envelope import utc_now
from perfect_sdk import flow, pause_flow_run, sleep, task
from perfect_sdk.exceptions import FlowPauseTimeout
from perfect_sdk.testing import START, Clock, kill_everywhere, resume, run_flow, run_flow_async

DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_day_of_sleep_takes_no_time(clock: Clock):
    @flow
    def patient() -> str:
        sleep(DAY)
        return "woken"

    began = time.monotonic()
    result = run_flow(patient, clock=clock)
    assert result.result == "woken"
    assert clock.now() - START == timedelta(days=1)
    assert [event.type for event in result.events].count("run.suspended") == 1
    assert time.monotonic() - began < DAY


def test_without_a_clock_it_waits(clock: Clock):
    @flow
    def patient() -> None:
        sleep(DAY)

    assert run_flow(patient).state == "PAUSED"


def test_retries_of_tasks_wait_by_the_clock(clock: Clock):
    tried: list[datetime] = []

    @task(retries=3, retry_delay_seconds=[10, 60, 3600])
    def flaky() -> int:
        tried.append(utc_now())
        if len(tried) < 4:
            raise ValueError("again")
        return len(tried)

    @flow
    def work() -> int:
        return flaky()

    result = run_flow(work, clock=clock)
    assert result.result == 4
    assert [later - before for before, later in itertools.pairwise(tried)] == [
        timedelta(seconds=10),
        timedelta(minutes=1),
        timedelta(hours=1),
    ]
    assert [event.at for event in result.events if event.type == "task.retrying"] == tried[:3]


def test_retries_of_the_flow_wait_by_the_clock(clock: Clock):
    tried: list[int] = []

    @flow(retries=1, retry_delay_seconds=3600)
    def work() -> int:
        tried.append(1)
        if len(tried) == 1:
            raise ValueError("again")
        return 7

    assert run_flow(work, clock=clock).result == 7
    assert clock.now() - START == timedelta(hours=1)


def test_branches_sleep_side_by_side(clock: Clock):
    woken: list[tuple[int, timedelta]] = []

    @task
    def nap(seconds: int) -> None:
        sleep(seconds)
        woken.append((seconds, clock.now() - START))

    @flow
    def work() -> None:
        for future in nap.map([300, 100, 200]):
            future.result()

    assert run_flow(work, clock=clock).state == "COMPLETED"
    assert woken == [(seconds, timedelta(seconds=seconds)) for seconds in (100, 200, 300)]


async def test_async_branches_sleep_side_by_side(clock: Clock):
    @task
    async def nap(seconds: int) -> timedelta:
        await sleep(seconds)
        return clock.now() - START

    @flow
    async def work() -> list[timedelta]:
        return list(await asyncio.gather(*[nap(seconds) for seconds in (300, 100, 200)]))

    result = await run_flow_async(work, clock=clock)
    assert result.result == [timedelta(seconds=seconds) for seconds in (300, 100, 200)]


def test_a_pause_is_resumed_with_input(clock: Clock):
    @flow
    def approved() -> int:
        sleep(60)
        return pause_flow_run(wait_for_input=int, timeout=DAY) + 1

    result = run_flow(approved, clock=clock)
    assert result.state == "PAUSED"
    [wait] = result.waits
    assert (wait.waits_for, wait.wake_at) == ("input", START + timedelta(seconds=60 + DAY))
    assert resume(approved, result, run_input=41, clock=clock).result == 42


def test_a_pause_times_out_by_the_clock(clock: Clock):
    @flow
    def approved() -> int:
        return pause_flow_run(wait_for_input=int, timeout=DAY)

    result = run_flow(approved, clock=clock)
    clock.advance(timedelta(days=2))
    again = resume(approved, result, clock=clock)
    with pytest.raises(FlowPauseTimeout):
        again.result


def test_a_clock_moved_by_hand():
    clock = Clock(datetime(2030, 5, 1, tzinfo=UTC), auto=False)
    asleep = clock.now()

    @task
    def nap() -> datetime:
        sleep(30)
        return utc_now()

    @flow
    def work() -> list[datetime]:
        future = nap.submit()
        while not clock._asleep:
            time.sleep(0.001)
        clock.advance(10)
        assert not future.wait(0.05)
        clock.advance(20)
        return [future.result()]

    assert run_flow(work, clock=clock).result == [asleep + timedelta(seconds=30)]


def test_time_is_its_own_again(clock: Clock):
    with clock:
        assert utc_now() == START
        with Clock(START + timedelta(days=1)):
            assert utc_now() == START + timedelta(days=1)
        assert utc_now() == START
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(minutes=1)
    with pytest.raises(ValueError, match="time zone"):
        Clock(datetime(2026, 1, 1))


def test_killed_after_each_event(clock: Clock):
    ran: list[str] = []

    @task
    def extract() -> int:
        ran.append("extract")
        return 20

    @task(retries=1, retry_delay_seconds=60)
    def load(n: int) -> int:
        ran.append("load")
        if ran.count("load") % 2:
            raise ValueError("flaky")
        return n + 1

    @flow
    def etl() -> int:
        return load(extract()) * 2

    seen = []
    for crash in kill_everywhere(etl, clock=clock):
        assert crash.killed.state == "RUNNING", crash.after
        assert crash.again.result == 42, crash.after
        done = {task.name for task in crash.killed.tasks if task.state == "COMPLETED"}
        assert {task.name for task in crash.again.tasks} == {"extract", "load"}
        seen.append((crash.after.type, done))
        ran.clear()
    assert [kind for kind, _ in seen] == [
        "run.started", "task.started", "task.completed", "task.started", "task.retrying", "task.started",
        "task.completed",
    ]  # fmt: skip
    assert seen[2][1] == {"extract"}


def test_what_is_killed_stores_nothing_more():
    @task
    def step(n: int) -> int:
        return n

    @flow
    def work() -> int:
        return sum(step(n) for n in range(3))

    killed = run_flow(work, kill_after=4)
    assert [event.type for event in killed.events][-1] == "task.completed"
    assert len(killed.events) == 4
    again = resume(work, killed)
    assert again.result == 3
    with pytest.raises(ValueError, match="kill_after=1"):
        run_flow(work, kill_after=1)


def test_cached_results_expire_by_the_clock(clock: Clock):
    from perfect_sdk.cache_policies import INPUTS

    ran: list[int] = []

    @task(cache_policy=INPUTS, cache_expiration=timedelta(hours=1), persist_result=True)
    def dear(n: int) -> int:
        ran.append(n)
        return n * n

    @flow
    def work() -> list[int]:
        return [dear(3), dear(3)]

    with clock:
        assert run_flow(work).result == [9, 9]
        assert run_flow(work).result == [9, 9]
        assert ran == [3]
        clock.advance(timedelta(minutes=61))
        assert run_flow(work).result == [9, 9]
        assert ran == [3, 3]
