"""The wire of a process: what it stores, and that nothing is lost or misplaced when it fails."""

import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from journaled import Run
from signals import stop

from perfect_bus.bus import Connection
from perfect_bus.wire import Wire, WireLost
from perfect_schemas import events as e
from perfect_schemas import ids
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
    """A run that speaks over the wire."""
    run = Run(io)
    run.journal.emit(run.started(0))
    run.journal.commit(run.completed(0))
    assert io.direct.wire is not None
    assert not io.direct.wire.flying
    return run


def said(run: Run) -> list[tuple[str, int]]:
    return [(event.type.removeprefix("task."), event.ordinal) for event in run.task_events()]


def pairs(count: int) -> list[tuple[str, int]]:
    return [pair for n in range(count) for pair in (("started", n), ("completed", n))]


def test_one_thread_speaks_over_the_wire(run: Run) -> None:
    wire = run.io.direct.wire
    for n in range(1, 50):
        run.journal.emit(run.started(n))
        run.journal.commit(run.completed(n))
    run.journal.commit(run.ended())
    assert run.io.direct.wire is wire
    assert said(run) == pairs(50)
    assert run.run_events()[-1] == "run.completed"


def test_an_emitted_event_that_was_lost_with_the_server_is_sent_again(run: Run, nats_server) -> None:
    """Nothing is said after it: the wire is looked at all the same."""
    stop(nats_server.pid)
    event = run.started(1)
    run.journal.emit(event)
    assert run.io.direct.wire is not None
    assert len(run.io.direct.wire.flying) == 1
    nats_server.kill()
    nats_server.start()
    arrived = threading.Event()

    async def each(msg: object, seq: int) -> None:
        if event.id.encode() in msg.data:  # type: ignore[attr-defined]
            arrived.set()

    async def follow() -> object:
        return await run.io.bus.follow("EVENTS", each, after=0)

    following = run.io.call(follow)
    assert arrived.wait(20)
    run.io.call(following.unsubscribe)  # type: ignore[attr-defined]
    assert run.io.direct.wire is None
    run.journal.commit(run.completed(1))
    assert said(run) == pairs(2)


class Calls:
    """Does something in a thread of its own at the first call of a method, as soon as that is made (or has ended)."""

    def __init__(self, owner: object, name: str, action: Callable[[], None], *, after: bool = False) -> None:
        method = getattr(owner, name)
        self.made = threading.Event()

        def called(*args: object) -> object:
            if not after:
                self.made.set()
            try:
                return method(*args)
            finally:
                self.made.set()

        def act() -> None:
            self.made.wait()
            action()

        setattr(owner, name, called)
        self.thread = threading.Thread(target=act, daemon=True)
        self.thread.start()


def test_a_commit_on_a_server_that_dies_is_stored_once(run: Run, nats_server) -> None:
    seen = threading.Event()

    def die() -> None:
        nats_server.kill()
        nats_server.start()
        seen.wait(30)  # the server ends with the thread that has started it

    stop(nats_server.pid)
    died = Calls(run.io.direct.wire, "wait", die)
    run.journal.emit(run.started(1))
    run.journal.commit(run.completed(1))
    assert died.made.is_set()
    assert said(run) == pairs(2)
    seen.set()
    died.thread.join(20)


def test_a_server_that_is_silent_gets_it_again_and_stores_it_once(run: Run, nats_server) -> None:
    """The wire is given up while the server has the messages unread: it reads them twice."""
    server = nats_server.pid
    stop(server)
    gave_up = Calls(run.io.direct, "give_up", lambda: os.kill(server, signal.SIGCONT), after=True)
    for n in range(1, 9):
        run.journal.emit(run.started(n))
        run.journal.commit(run.completed(n))
    assert gave_up.made.is_set()
    assert said(run) == pairs(9)


def test_what_the_engine_decided_is_heard_over_the_wire(run: Run) -> None:
    run.engine_says(e.RunCancelling(**run.envelope(), by="someone"))
    with pytest.raises(RunCancelledError):
        run.journal.commit(run.completed(1))
    assert ("completed", 1) in said(run)
    with pytest.raises(RunCancelledError):
        run.journal.commit(run.ended())


def test_a_newer_epoch_supersedes_over_the_wire(run: Run) -> None:
    run.engine_says(e.RunStarted(**run.envelope(epoch=2), client_id="b"))
    with pytest.raises(RunSupersededError):
        run.journal.commit(run.completed(1))
    assert said(run) == pairs(1)


def test_threads_that_take_turns_keep_the_order(run: Run) -> None:
    """Each waits for the other's word: what is said later stands later, whichever way it took."""
    turns = [threading.Semaphore(1), threading.Semaphore(0)]

    def speak(which: int) -> None:
        for n in range(100):
            turns[which].acquire()
            number = 1 + 2 * n + which
            run.journal.emit(run.started(number))
            if n % 3 == which:
                run.journal.commit(run.completed(number))
            turns[1 - which].release()

    threads = [threading.Thread(target=speak, args=(which,), daemon=True) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    run.journal.commit(run.ended())
    started = [ordinal for kind, ordinal in said(run) if kind == "started"]
    assert started == list(range(201))
    for number in (n for kind, n in said(run) if kind == "completed"):
        assert said_before(run, number)


def said_before(run: Run, number: int) -> bool:
    words = said(run)
    at = words.index(("completed", number))
    return words[:at].count(("started", number)) == 1 and ("started", number + 2) not in words[:at]


def test_a_forked_child_leaves_the_wire_alone(run: Run) -> None:
    wire = run.io.direct.wire
    child = os.fork()
    if child == 0:
        try:
            run.journal.emit(run.started(1))
            run.journal.commit(run.completed(1))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    run.journal.emit(run.started(2))
    run.journal.commit(run.completed(2))
    assert run.io.direct.wire is wire
    assert said(run) == pairs(3)


def test_a_wrong_password_is_refused(connection: Connection) -> None:
    wrong = Connection(url=connection.url, user="somebody", password=ids.uuid7())
    with pytest.raises(WireLost, match="Authorization"):
        Wire.connect(wrong, name="test")


def test_there_is_no_wire_through_tls() -> None:
    assert Wire.serves(Connection(url="nats://127.0.0.1:4222"))
    assert not Wire.serves(Connection(url="tls://127.0.0.1:4222"))
