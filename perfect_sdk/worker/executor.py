"""The executor process: `python -m perfect_sdk.worker.executor FD`, started by a supervisor only.

User code runs here and nowhere else: sync flows in threads, async flows as tasks on the main thread's event loop. The
socket to the supervisor and the connection to NATS belong to the I/O thread, which user code cannot hold up. When the
supervisor's end of the socket closes, the process ends at once.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from perfect_bus.claim import read_history
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.folds.run import is_pausing
from perfect_sdk.connecting.io import IO
from perfect_sdk.waiting.resting import go_on
from perfect_sdk.worker.execution import UNCLAIMED, claimed, made
from perfect_sdk.worker.frames import (
    HEAD_BYTES,
    Abandon,
    Cancel,
    Claimed,
    Drain,
    Ended,
    Frame,
    FrameStream,
    Pause,
    Prepare,
    Ready,
    Serve,
    Start,
    StartTask,
    Stop,
    StopTask,
    Unwound,
    unpack,
)
from perfect_sdk.worker.kept import MAX_KEPT, Execution, Kept
from perfect_sdk.worker.targets import load
from perfect_sdk.worker.task_host import TaskHost

if TYPE_CHECKING:
    from perfect_schemas.folds.history import History
    from perfect_sdk.flow import Flow

SPARE_THREADS = 8  # for runs that were abandoned and do not end
EXIT_ORPHANED = 1
FLUSH_S = 1.0
UNWIND_S = 0.5  # for code that is kept, when the executor stops


class Executor:
    """Everything but `run_forever` happens on the I/O loop."""

    def __init__(self, serve: Serve, io: IO, flows: "dict[str, Flow]") -> None:
        self._serve = serve
        self._io = io
        self._flows = flows
        self._running: dict[tuple[str, int], Execution] = {}
        self._loading: set[tuple[str, int]] = set()  # runs whose history is being read
        self._cancelled: set[tuple[str, int]] = set()  # those of them that are to end at once
        self._prepared: dict[tuple[str, int], Execution] = {}  # runs that are being claimed
        self._stream = FrameStream(self._heard, self._orphaned)
        self._kept = Kept(serve.suspend_after_s)
        self._threads = ThreadPoolExecutor(
            serve.concurrency + SPARE_THREADS + MAX_KEPT, thread_name_prefix="perfect-run"
        )
        self._main_loop = asyncio.new_event_loop()
        self._task_host = TaskHost(serve, io, flows, self._main_loop, self._stream.send)
        self._tasks: set[asyncio.Task[None]] = set()

    def run_forever(self, sock: socket.socket, ready: Ready) -> None:
        """The main thread's part: the event loop of the async flows."""
        asyncio.set_event_loop(self._main_loop)
        self._io.call(self._connect, sock, ready)
        self._main_loop.run_forever()

    async def _connect(self, sock: socket.socket, ready: Ready) -> None:
        await asyncio.get_running_loop().create_unix_connection(lambda: self._stream, sock=sock)
        self._stream.send(ready)

    def _orphaned(self) -> None:
        os._exit(EXIT_ORPHANED)

    def _heard(self, frame: Frame) -> None:
        if isinstance(frame, Prepare):
            self._prepare(frame)
        elif isinstance(frame, Claimed):
            self._claimed(frame)
        elif isinstance(frame, Start):
            if frame.replay:
                self._loading.add((frame.hand_over.run_id, frame.epoch))
                self._io.spawn(self._replay(frame))
            else:
                self._begin(frame, None)
        elif isinstance(frame, Cancel):
            running = self._running.get((frame.run_id, frame.epoch))
            if running is not None:
                running.session.cancel()
            elif (frame.run_id, frame.epoch) in self._loading:
                self._cancelled.add((frame.run_id, frame.epoch))
        elif isinstance(frame, Pause):
            running = self._running.get((frame.run_id, frame.epoch))
            if running is not None:  # else it is found in the history, or at the next append
                running.journal.is_pausing = True
        elif isinstance(frame, Abandon):
            self._unprepare((frame.run_id, frame.epoch))
            running = self._running.get((frame.run_id, frame.epoch))
            kept = self._kept.get(frame.run_id)
            if running is not None:
                running.abandon()
            elif kept is not None and kept.epoch == frame.epoch:
                kept.abandon()
        elif isinstance(frame, (StartTask, StopTask)):
            self._task_host.heard(frame)
        elif isinstance(frame, Drain):
            self._kept.close()
        elif isinstance(frame, Stop):
            self._io.spawn(self._stop())

    def _prepare(self, frame: Prepare) -> None:
        """Up to a thread that waits for the claim."""
        flow = self._flows.get(frame.hand_over.flow_id)
        if flow is None:
            return
        running = made(
            self._serve,
            self._io,
            flow,
            frame.hand_over,
            epoch=frame.epoch,
            claim_seq=UNCLAIMED,
            flow_version=frame.flow_version,
            history=None,
        )
        self._prepared[running.run_id, running.epoch] = running
        if not flow.is_async:
            running.hold()
            self._threads.submit(self._run_claimed, running)

    def _claimed(self, frame: Claimed) -> None:
        running = self._prepared.pop((frame.run_id, frame.epoch), None)
        if running is None:
            self._cannot(frame.run_id, frame.epoch)
        else:
            claimed(running, frame.claim_seq)
            self._took(running)
            if running.session.flow.is_async:
                self._main_loop.call_soon_threadsafe(self._run_async, running)
            else:
                running.let(begin=True)

    async def _replay(self, frame: Start) -> None:
        while True:
            try:
                history = await read_history(self._io.bus, frame.hand_over.run_id, frame.claim_seq)
            except BusUnavailable:
                continue
            self._begin(frame, history)
            return

    def _goes_on(self, frame: Start, history: "History | None") -> bool:
        """Whether the run's code was kept in memory and goes on where it stands."""
        kept = self._kept.get(frame.hand_over.run_id)
        if kept is None:
            return False
        session, journal = kept.session, kept.journal
        run = msgspec.structs.replace(session.run, epoch=frame.epoch, claim_seq=frame.claim_seq)

        def claim() -> None:
            journal.reclaim(frame.epoch, frame.claim_seq)
            journal.is_pausing = history is not None and history.run is not None and is_pausing(history.run)

        if history is None or not go_on(session, run, history, claim):
            kept.abandon()
            return False
        self._kept.remove(kept)
        kept.epoch = frame.epoch
        self._took(kept)
        return True

    def _took(self, running: Execution) -> None:
        key = (running.run_id, running.epoch)
        self._running[key] = running
        self._unprepare(key)
        if self._kept.is_open:
            running.session.keeper = lambda: self._io.post(self._keep, running)
        self._loading.discard(key)
        if key in self._cancelled:
            self._cancelled.discard(key)
            running.session.cancel()

    def _begin(self, frame: Start, history: "History | None") -> None:
        if self._goes_on(frame, history):
            return
        hand_over = frame.hand_over
        flow = self._flows.get(hand_over.flow_id)
        if flow is None:
            self._cannot(hand_over.run_id, frame.epoch)
            return
        self._launch(
            made(
                self._serve,
                self._io,
                flow,
                hand_over,
                epoch=frame.epoch,
                claim_seq=frame.claim_seq,
                flow_version=frame.flow_version,
                history=history,
            )
        )

    def _cannot(self, run_id: str, epoch: int) -> None:
        detail = "this executor could not import the run's flow"
        self._stream.send(Ended(run_id=run_id, epoch=epoch, outcome="error", detail=detail))

    def _unprepare(self, key: tuple[str, int]) -> None:
        dropped = self._prepared.pop(key, None)
        if dropped is not None:
            dropped.let(begin=False)

    def _launch(self, running: Execution) -> None:
        self._took(running)
        if running.session.flow.is_async:
            self._main_loop.call_soon_threadsafe(self._run_async, running)
        else:
            self._threads.submit(self._run_sync, running)

    # -- on other threads

    def _run_claimed(self, running: Execution) -> None:
        if running.may_begin():
            self._run_sync(running)

    def _run_sync(self, running: Execution) -> None:
        try:
            outcome = running.session.execute_sync()
        except BaseException as error:
            self._io.post(self._ended, running, "error", repr(error))
        else:
            self._io.post(self._ended, running, outcome.state, repr(outcome.error or ""))

    def _run_async(self, running: Execution) -> None:
        task = self._main_loop.create_task(self._await(running))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await(self, running: Execution) -> None:
        try:
            outcome = await running.session.execute_async()
        except BaseException as error:
            self._io.post(self._ended, running, "error", repr(error))
        else:
            self._io.post(self._ended, running, outcome.state, repr(outcome.error or ""))

    def _keep(self, running: Execution) -> None:
        """The run is suspended: its slot is free, its code stays."""
        if self._running.pop((running.run_id, running.epoch), None) is None:
            return
        running.journal.flush()
        self._stream.send(Ended(run_id=running.run_id, epoch=running.epoch, outcome="suspended", keeps=True))
        self._kept.keep(running)

    def _ended(self, running: Execution, outcome: str, detail: str) -> None:
        if self._kept.remove(running):
            running.journal.flush()
            self._stream.send(Unwound(run_id=running.run_id, epoch=running.epoch))
            return
        self._running.pop((running.run_id, running.epoch), None)
        running.journal.flush()
        self._stream.send(
            Ended(run_id=running.run_id, epoch=running.epoch, outcome=outcome, detail=detail[:2000])
        )

    async def _stop(self) -> None:
        self._kept.close()
        await self._kept.gone(UNWIND_S)
        await self._io.bus.close(FLUSH_S)
        os._exit(0)


def die_with_parent() -> None:
    """On Linux the kernel ends this process when the supervisor ends, also where no Python code gets to run."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_pdeathsig = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def receive(sock: socket.socket) -> Frame:
    """The first frame, blocking. Raises EOFError when the supervisor is gone."""
    return unpack(_exactly(sock, int.from_bytes(_exactly(sock, HEAD_BYTES), "big")))


def _exactly(sock: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = sock.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _report(text: str) -> None:
    """What the server refused. That the connection is lost, the supervisor says for all."""
    if text.startswith("perfect."):
        print(f"perfect executor: {text}", file=sys.stderr, flush=True)


def _connected(serve: Serve) -> IO:
    """A new executor may come to life while NATS is away: it waits."""
    io = IO(
        serve.connection,
        name=f"{serve.client_name} executor {os.getpid()}",
        on_error=_report,
    )
    io.lease_s = serve.lease_s
    while True:
        try:
            io.start()
        except BusUnavailable:
            continue
        return io


def main() -> None:
    """Signals that reach the whole process group (Ctrl-C) are the supervisor's business: it drains."""
    supervisor = os.getppid()
    die_with_parent()
    if os.getppid() != supervisor:
        os._exit(EXIT_ORPHANED)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    try:
        serve = receive(sock)
    except EOFError:
        os._exit(EXIT_ORPHANED)
    assert isinstance(serve, Serve)
    io = _connected(serve)
    flows, ready = load(serve.targets)
    executor = Executor(serve, io, flows)
    sock.setblocking(False)
    threading.current_thread().name = "perfect-flows"
    executor.run_forever(sock, ready)


if __name__ == "__main__":
    # The module's other name, so that its classes exist once.
    from perfect_sdk.worker.executor import main as run

    run()
