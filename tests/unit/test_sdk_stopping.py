"""Cancelling, abandoning, being superseded: how a run ends that does not end by itself."""

import asyncio
import threading

import pytest

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import BusUnavailable
from perfect_sdk import flow, task
from perfect_sdk.recording.journal import RunSupersededError
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.running.local import opening
from perfect_sdk.running.session import RunContext, RunSession

started = threading.Event()


@pytest.fixture(autouse=True)
def _fresh():
    started.clear()


def session_of(a_flow, journal_type=MemoryJournal, **options):
    run = RunContext(run_id=ids.uuid7(), flow_id=a_flow.id, flow_name=a_flow.name)
    return RunSession(run, a_flow, journal_type(run.run_id, opening(run)), **options)


def engine_cancels(session):
    """As the engine does it: first the event, then the message."""
    session.journal.commit(
        e.RunCancelling(
            id=ids.uuid7(), at=utc_now(), source="engine", run_id=session.run.run_id, by="somebody"
        )
    )
    session.cancel()


def in_thread(session):
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(session.execute_sync()))
    thread.start()
    return thread, outcomes


def kinds(session):
    return [event.type for event in session.journal.events]


@task
def step() -> None: ...


@task(retries=1, retry_delay_seconds=60)
def waits_long() -> None:
    started.set()
    raise ValueError("again in a minute")


@task
async def waits_for_ever() -> None:
    started.set()
    await asyncio.Event().wait()


@task
def held(release: object) -> None:
    started.set()
    threading.Event().wait(0.2)


@flow
def loops() -> None:
    while True:
        step()
        started.set()


@flow
def in_a_retry_delay() -> None:
    waits_long()


@flow
def waits_for_an_async_task() -> None:
    waits_for_ever.submit().result()


@flow
async def waits_in_an_async_task() -> None:
    await waits_for_ever()


@flow
async def waits_in_gather() -> None:
    await asyncio.gather(*[waits_for_ever() for _ in range(3)])


@flow
async def waits_for_submitted() -> None:
    await waits_for_ever.submit()


@flow
def calls_a_child() -> None:
    loops()


@flow
async def calls_an_async_child() -> None:
    await waits_in_gather()


FLOWS = [
    loops,
    in_a_retry_delay,
    waits_for_an_async_task,
    waits_in_an_async_task,
    waits_in_gather,
    waits_for_submitted,
    calls_a_child,
    calls_an_async_child,
]


@pytest.mark.parametrize("which", FLOWS, ids=lambda f: f.name)
def test_the_engine_cancels(which):
    session = session_of(which)
    thread, outcomes = in_thread(session)
    assert started.wait(60)
    engine_cancels(session)
    thread.join(60)
    assert outcomes[0].state == "cancelled"
    own = [event.type for event in session.journal.events if event.run_id == session.run.run_id]
    assert own.count("run.cancelling") == 1
    assert own[-1] == "run.cancelled"
    assert session.journal.history().run.state == "CANCELLED"
    children = {event.run_id for event in session.journal.events} - {session.run.run_id}
    for child in children:
        journal = MemoryJournal(child, shared=session.journal.shared)
        assert journal.history().run.state == "CANCELLED"
        assert journal.history().run.reason == f"cancelled by run {session.run.run_id}"


@pytest.mark.parametrize("which", FLOWS, ids=lambda f: f.name)
def test_whoever_cancels_without_the_engine_has_it_written(which):
    session = session_of(which)
    thread, outcomes = in_thread(session)
    assert started.wait(60)
    session.cancel(by="a test")
    session.cancel(by="a test")
    thread.join(60)
    assert outcomes[0].state == "cancelled"
    assert session.journal.history().run.state == "CANCELLED"


@pytest.mark.parametrize("which", FLOWS, ids=lambda f: f.name)
def test_an_abandoned_run_writes_nothing_more(which):
    session = session_of(which)
    thread, outcomes = in_thread(session)
    assert started.wait(60)
    session.abandon()
    thread.join(60)
    assert outcomes[0].state == "superseded"
    assert not {"run.cancelled", "run.cancelling", "run.failed", "run.completed"} & set(kinds(session))


def test_a_child_whose_parent_was_abandoned_a_moment_ago_writes_nothing_either():
    session = session_of(calls_an_async_child)
    thread, outcomes = in_thread(session)
    assert started.wait(60)
    session.stop.kind = "abandon"
    session.stop._wakers[0]()  # the asyncio task is cancelled; the child's own signal is still to come
    thread.join(60)
    assert outcomes[0].state == "superseded"
    assert not {"run.cancelled", "run.cancelling"} & set(kinds(session))


def test_the_log_reveals_a_cancellation_whose_message_was_lost():
    @flow
    def main() -> None:
        step()
        session.journal.commit(
            e.RunCancelling(id=ids.uuid7(), at=utc_now(), source="engine", run_id=session.run.run_id, by="x")
        )
        step()
        pytest.fail("not reached")

    session = session_of(main)
    assert session.execute_sync().state == "cancelled"
    assert kinds(session)[-1] == "run.cancelled"


def test_a_cancellation_at_the_very_end_wins():
    @flow
    def main() -> int:
        session.journal.commit(
            e.RunCancelling(id=ids.uuid7(), at=utc_now(), source="engine", run_id=session.run.run_id, by="x")
        )
        return 1

    session = session_of(main)
    assert session.execute_sync().state == "cancelled"
    assert kinds(session)[-1] == "run.cancelled"


class TakenOver(MemoryJournal):
    """Somebody else has the run after its first task."""

    def commit(self, event):
        if event.type == "task.completed":
            raise RunSupersededError(self.run_id)
        super().commit(event)


class Broken(MemoryJournal):
    def commit(self, event):
        if event.type == "task.completed":
            raise BusUnavailable("gone for good")
        super().commit(event)


def test_a_newer_epoch_ends_the_run_here():
    @flow
    def main() -> None:
        try:
            step()
        except Exception:
            pytest.fail("user code must not catch it")
        pytest.fail("not reached")

    session = session_of(main, TakenOver)
    assert session.execute_sync().state == "superseded"


def test_a_journal_that_fails_crashes_the_run_instead_of_failing_tasks():
    @flow
    def main() -> None:
        try:
            step()
        except Exception:
            pytest.fail("user code must not catch it")

    session = session_of(main, Broken)
    outcome = session.execute_sync()
    assert outcome.state == "crashed"
    assert isinstance(outcome.error, BusUnavailable)
    assert "run.failed" not in kinds(session)


async def test_a_session_on_a_loop_leaves_its_asyncio_task_as_it_was():
    session = session_of(waits_in_gather)
    work = asyncio.create_task(session.execute_async())
    while not started.is_set():
        await asyncio.sleep(0)
    engine_cancels(session)
    outcome = await asyncio.wait_for(work, 60)
    assert outcome.state == "cancelled"
    assert work.cancelling() == 0


async def test_a_worker_that_goes_away_leaves_the_run_as_it_is():
    session = session_of(waits_in_gather)
    work = asyncio.create_task(session.execute_async())
    while not started.is_set():
        await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert session.journal.history().run.state == "RUNNING"


async def test_an_interrupt_of_a_plain_call_is_recorded():
    session = session_of(waits_in_gather, interruptible=True)
    work = asyncio.create_task(session.execute_async())
    while not started.is_set():
        await asyncio.sleep(0)
    work.cancel()
    outcome = await work
    assert outcome.state == "cancelled"
    assert session.journal.history().run.reason == "cancelled by keyboard"


def test_a_keyboard_interrupt_cancels():
    @flow
    def main() -> None:
        raise KeyboardInterrupt

    session = session_of(main, interruptible=True)
    assert session.execute_sync().state == "cancelled"
    assert kinds(session)[-2:] == ["run.cancelling", "run.cancelled"]


async def test_a_child_that_its_parent_gives_up_is_cancelled():
    @flow
    async def parent() -> str:
        try:
            async with asyncio.timeout(0.05):
                await waits_in_gather()
        except TimeoutError:
            return "gave up"
        return "no"

    session = session_of(parent)
    outcome = await session.execute_async()
    assert outcome.value == "gave up"
    child = next(event.run_id for event in session.journal.events if event.run_id != session.run.run_id)
    assert MemoryJournal(child, shared=session.journal.shared).history().run.state == "CANCELLED"


async def test_a_cancelled_error_of_the_users_own_is_a_failure():
    @flow
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    session = session_of(main)
    assert (await session.execute_async()).state == "failed"
    assert kinds(session)[-1] == "run.failed"
