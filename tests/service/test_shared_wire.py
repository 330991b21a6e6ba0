"""One wire for all runs of a process that speak at the same time: what each says stands once, and in its order."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from journaled import Run
from signals import stop

from perfect_bus.bus import Connection
from perfect_sdk.connecting.io import IO

RUNS = 12
TASKS = 30


@pytest.fixture
def io(connection: Connection) -> Iterator[IO]:
    made = IO(connection, name="test")
    made.start()

    async def streams() -> None:
        await made.bus.ensure_streams()

    made.call(streams)
    Run(made)  # opens the wire
    yield made
    made.close(1)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Speaker(threading.Thread):
    """A run in a thread of its own, which says `count` tasks and its end."""

    def __init__(self, io: IO, count: int = TASKS) -> None:
        super().__init__(daemon=True)
        self._io = io
        self._count = count
        self.run_of_it: Run | None = None
        self.is_half_way = threading.Event()
        self.is_done = False

    def run(self) -> None:
        self.run_of_it = run = Run(self._io)
        for n in range(self._count):
            run.journal.emit(run.started(n))
            run.journal.commit(run.completed(n))
            if n == self._count // 2:
                self.is_half_way.set()
        run.journal.commit(run.ended())
        self.is_done = True

    def check(self) -> None:
        self.join(60)
        assert self.is_done
        run = self.run_of_it
        assert run is not None
        assert [(event.type, event.ordinal) for event in run.task_events()] == [
            (kind, n) for n in range(self._count) for kind in ("task.started", "task.completed")
        ]
        assert run.run_events() == ["run.scheduled", "run.started", "run.completed"]


def test_runs_that_speak_at_once_keep_their_order(io: IO) -> None:
    wire = io.direct.wire
    assert wire is not None
    speakers = [Speaker(io) for _ in range(RUNS)]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.check()
    assert not wire.is_read
    assert not wire.flying


def test_runs_on_a_server_that_dies_are_stored_once(io: IO, nats_server) -> None:
    speakers = [Speaker(io) for _ in range(RUNS)]
    for speaker in speakers:
        speaker.start()
    assert speakers[0].is_half_way.wait(60)
    nats_server.kill()
    nats_server.start()
    for speaker in speakers:
        speaker.check()


def test_runs_on_a_server_that_is_silent_are_stored_once(io: IO, nats_server) -> None:
    server = nats_server.pid
    speakers = [Speaker(io) for _ in range(RUNS)]
    for speaker in speakers:
        speaker.start()
    assert speakers[0].is_half_way.wait(60)
    wire = io.direct.wire
    stop(server)
    speakers.append(Speaker(io))  # the others may have said everything
    speakers[-1].start()
    until(lambda: io.direct.wire is not wire)  # given up, with what it had under way
    os.kill(server, signal.SIGCONT)
    for speaker in speakers:
        speaker.check()


@pytest.mark.parametrize("leads", [True, False], ids=["which reads for all", "which waits for another"])
def test_an_interrupted_thread_takes_no_other_with_it(io: IO, nats_server, leads: bool) -> None:
    """Ctrl-C, while it waits for an answer."""
    server = nats_server.pid
    mine = Run(io)
    other = Speaker(io, 2)
    wire = io.direct.wire
    assert wire is not None
    stop(server)

    def interrupt() -> None:
        if leads:
            until(lambda: wire.is_read or wire.is_lost)
            other.start()
        until(lambda: len(wire.flying) > 1 or wire.is_lost)
        time.sleep(0.1)  # a signal that comes just before the lock is waited for is heard when that is let go
        os.kill(os.getpid(), signal.SIGINT)

    if not leads:
        other.start()
        until(lambda: wire.is_read or wire.is_lost)
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        mine.journal.commit(mine.completed(0))
    os.kill(server, signal.SIGCONT)
    other.check()
