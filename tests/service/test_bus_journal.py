"""BusJournal and the I/O thread against a real nats-server."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest
from journaled import FLOW, Run

from perfect_bus import Conflict, Guard, append
from perfect_bus.bus import Connection
from perfect_bus.outbox import MAX_MESSAGES
from perfect_schemas import events as e
from perfect_schemas import ids, subjects
from perfect_schemas.envelope import ErrorInfo, StoredValue, utc_now
from perfect_schemas.errors import BusUnavailable, NotFound, TooLarge
from perfect_sdk.connecting.io import IO
from perfect_sdk.recording.journal import RunCancelledError, RunSupersededError


@pytest.fixture
def io(connection: Connection) -> Iterator[IO]:
    made = IO(connection, name="test")
    made.start()

    async def streams() -> None:
        await made.bus.ensure_streams()

    made.call(streams)
    yield made
    made.close(1)


@pytest.fixture
def run(io: IO) -> Run:
    return Run(io)


def line(text: str) -> e.LogLine:
    return e.LogLine(at=utc_now(), level=20, message=text)


def test_emitted_and_committed_events_are_stored_in_order(run: Run) -> None:
    for n in range(50):
        run.journal.emit(run.started(n))
        run.journal.commit(run.completed(n))
    run.journal.commit(run.ended())
    assert [(event.type, event.ordinal) for event in run.task_events()] == [
        pair for n in range(50) for pair in (("task.started", n), ("task.completed", n))
    ]
    assert run.run_events() == ["run.scheduled", "run.started", "run.completed"]


async def test_commits_from_another_event_loop(connection: Connection) -> None:
    io = IO(connection, name="test")
    await asyncio.to_thread(io.start)

    async def streams() -> None:
        await io.bus.ensure_streams()

    await io.call_async(streams)
    run = await asyncio.to_thread(Run, io)
    await asyncio.gather(*(run.journal.commit_async(run.completed(n)) for n in range(200)))
    await run.journal.commit_async(run.ended())
    assert len(await asyncio.to_thread(run.task_events)) == 200
    await asyncio.to_thread(io.close)


def test_a_newer_epoch_supersedes(run: Run) -> None:
    run.journal.commit(run.completed(0))
    run.engine_says(e.RunLost(**run.envelope(), client_id="a", reason="lease"))
    with pytest.raises(RunSupersededError):
        run.journal.commit(run.completed(1))
    with pytest.raises(RunSupersededError):
        run.journal.emit(run.started(2))
    with pytest.raises(RunSupersededError):
        run.journal.commit(run.ended())
    run.journal.log(line("a zombie's"))
    assert len(run.task_events()) == 1
    assert run.lines() == []


def test_a_final_run_takes_nothing_more(run: Run) -> None:
    run.engine_says(e.RunCrashed(**run.envelope(), reason="by the engine"))
    with pytest.raises(RunSupersededError):
        run.journal.commit(run.ended())


def test_cancelling_is_obeyed_once_and_what_was_done_is_kept(run: Run) -> None:
    run.engine_says(e.RunCancelling(**run.envelope(), by="someone"))
    with pytest.raises(RunCancelledError):
        run.journal.commit(run.completed(0))
    assert [event.ordinal for event in run.task_events()] == [0]  # stored behind it: no need to do it again
    run.journal.commit(run.completed(1))  # a clean-up task
    with pytest.raises(RunCancelledError):
        run.journal.commit(run.ended())
    run.journal.commit(e.RunCancelled(**run.envelope()))
    assert run.run_events()[-2:] == ["run.cancelling", "run.cancelled"]


def test_the_first_thing_heard_after_cancelling_may_be_our_own_cancelled(run: Run) -> None:
    run.engine_says(e.RunCancelling(**run.envelope(), by="someone"))
    run.journal.commit(e.RunCancelled(**run.envelope()))
    assert run.run_events()[-1] == "run.cancelled"


def test_an_end_that_meets_a_cancellation_is_not_written(run: Run) -> None:
    run.engine_says(e.RunCancelling(**run.envelope(), by="someone"))
    with pytest.raises(RunCancelledError):
        run.journal.commit(
            e.RunFailed(**run.envelope(), duration_ms=1, error=ErrorInfo(kind="x", message="x"))
        )
    assert run.run_events()[-1] == "run.cancelling"


def test_events_that_change_nothing_are_passed_over(run: Run) -> None:
    warned = e.PerformanceWarned(
        **run.envelope(), rule="absolute", severity="warning", message="m", duration_ms=2, avg_duration_ms=1
    )
    run.engine_says(warned)
    run.journal.commit(run.completed(0))
    run.journal.commit(run.ended())
    assert run.run_events()[-1] == "run.completed"


def test_a_commit_waits_for_the_server_to_come_back(run: Run, nats_server) -> None:
    run.journal.commit(run.completed(0))
    nats_server.kill()
    done = threading.Event()

    def work() -> None:
        run.journal.emit(run.started(1))
        run.journal.commit(run.completed(1))
        run.journal.commit(run.ended())
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert not done.wait(0.5)
    nats_server.start()
    assert done.wait(60)
    assert [event.type for event in run.task_events()] == ["task.completed", "task.started", "task.completed"]
    assert run.run_events()[-1] == "run.completed"


def test_a_resent_event_that_was_stored_counts_as_stored(run: Run) -> None:
    """The acknowledgement got lost: the same event again is refused on the run's own subject, and found there."""
    end = run.ended()
    run.engine_says(end)
    run.journal.commit(end)
    assert run.run_events().count("run.completed") == 1


def test_ten_thousand_lines_arrive_in_order(run: Run) -> None:
    for n in range(10_000):
        run.journal.log(line(f"line {n}"))
    run.journal.commit(run.ended())  # every line stands in front of the end
    assert run.lines() == [f"line {n}" for n in range(10_000)]
    assert all(len(batch.lines) <= 200 for batch in run.batches())


def test_lines_leave_without_a_full_batch(run: Run) -> None:
    run.journal.log(line("alone"))
    deadline = time.monotonic() + 60
    while run.lines() != ["alone"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_flood_without_a_server_is_counted(run: Run, nats_server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfect_sdk.recording.shipping.MAX_WAITING_LINES", 100)
    nats_server.kill()
    monkeypatch.setattr(run.io, "post", lambda *_: None)  # nothing leaves
    for n in range(250):
        run.journal.log(line(f"line {n}"))
    monkeypatch.undo()
    nats_server.start()
    run.journal.flush()
    run.journal.commit(run.ended())
    assert run.lines() == [f"line {n}" for n in range(100)]
    assert sum(batch.suppressed for batch in run.batches()) == 150


def test_long_lines_are_cut_and_batches_stay_small(run: Run) -> None:
    for _ in range(20):
        run.journal.log(line("é" * 100_000))
    run.journal.commit(run.ended())
    lines = run.lines()
    assert len(lines) == 20
    assert lines[0].endswith("more characters were cut off]")


def test_large_values_go_to_the_object_store(run: Run) -> None:
    data = os.urandom(600_000)
    ref = run.journal.store("/t-0", data)
    assert run.journal.load(StoredValue(ref=ref)) == data
    run.journal.store("/t-0", b"again")
    assert run.journal.load(StoredValue(ref=ref)) == b"again"
    with pytest.raises(NotFound):
        run.journal.load(StoredValue(ref=f"{run.id}/nothing"))


def test_an_event_above_the_limit_is_refused_before_it_is_sent(run: Run) -> None:
    huge = StoredValue(value=b'"' + b"x" * 9_000_000 + b'"', size_bytes=9_000_000)
    with pytest.raises(TooLarge, match="by reference"):
        run.journal.commit(e.TaskCompleted(**run.task(0), duration_ms=1, result=huge))
    run.journal.commit(run.ended())


def test_a_child_run_has_subjects_of_its_own(run: Run) -> None:
    from perfect_sdk.running.session import RunContext

    context = RunContext(run_id=ids.uuid7(), flow_id=FLOW, flow_name="child", source="worker:a")
    child = run.journal.child(context)
    envelope = {"id": ids.uuid7(), "at": utc_now(), "source": "t", "run_id": context.run_id}
    child.commit(e.RunScheduled(**envelope, flow_id=FLOW, flow_name="child", origin="child"))
    child.commit(e.RunStarted(**{**envelope, "id": ids.uuid7()}, epoch=1, client_id="a"))
    again = run.journal.child(context)
    history = again.history()
    assert history.run is not None
    assert history.run.state == "RUNNING"
    again.commit(e.RunStarted(**{**envelope, "id": ids.uuid7()}, epoch=2, client_id="a"))
    with pytest.raises(RunSupersededError):
        child.commit(e.RunCompleted(**{**envelope, "id": ids.uuid7()}, epoch=1, duration_ms=1))
    run.journal.abandon()
    with pytest.raises(RunSupersededError):
        again.commit(e.RunCompleted(**{**envelope, "id": ids.uuid7()}, epoch=2, duration_ms=1))


def test_a_full_outbox_makes_sync_callers_wait(run: Run, nats_server) -> None:
    nats_server.kill()
    count = 2 * MAX_MESSAGES  # a few get ahead of the thread that counts them
    done = threading.Event()

    def work() -> None:
        for n in range(count):
            run.journal.emit(run.started(n))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert not done.wait(1)
    nats_server.start()
    assert done.wait(60)
    run.journal.commit(run.ended())
    assert len({event.ordinal for event in run.task_events()}) == count


def test_a_forked_child_gets_a_connection_of_its_own(run: Run) -> None:
    run.journal.commit(run.completed(0))
    child = os.fork()
    if child == 0:
        try:
            run.journal.commit(run.completed(1))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    run.journal.commit(run.completed(2))
    assert [event.ordinal for event in run.task_events()] == [0, 1, 2]


def test_closing_sends_what_waits(connection: Connection, run: Run) -> None:
    for n in range(500):
        run.journal.emit(run.started(n))
    assert run.io.close() == 0
    again = IO(connection, name="reader")
    run.io = again
    assert len(run.task_events()) == 500
    again.close()


def test_a_commit_after_closing_says_so(run: Run) -> None:
    run.io.close()
    with pytest.raises(BusUnavailable):
        run.journal.commit(run.completed(0))


def test_no_server_is_a_clear_error(unused_tcp_port: int) -> None:
    io = IO(Connection(url=f"nats://127.0.0.1:{unused_tcp_port}"), name="test")
    with pytest.raises(BusUnavailable, match="does not answer"):
        io.start(timeout_s=0.3)


def test_engine_and_journal_race_for_the_last_word(run: Run) -> None:
    """Whoever is second hears of it."""
    run.journal.commit(run.ended())
    subject = subjects.run(run.id)

    async def late() -> None:
        await append(
            run.io.bus, subject, e.RunLost(**run.envelope(), client_id="a", reason="x"), Guard(subject, 2)
        )

    with pytest.raises(Conflict):
        run.io.call(late)
