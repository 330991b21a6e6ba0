"""The distributed tasks of an executor: sync ones in threads, async ones on the main thread's event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from perfect_bus.claim import read_history
from perfect_schemas.commands import TaskHandOver
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.events import TaskFailed, TaskStarted
from perfect_sdk.connecting.io import IO
from perfect_sdk.worker.frames import Serve, StartTask, StopTask, TaskEnded

if TYPE_CHECKING:
    from perfect_schemas.folds.history import History
    from perfect_sdk.flow import Flow
    from perfect_sdk.remote.execution import Ending, RemoteTask
    from perfect_sdk.remote.journal import RemoteJournal
    from perfect_sdk.remote.lookup import Lookup

SPARE_THREADS = 8  # for tasks that were stopped and do not end


class _Held:
    """remote: None until its arguments are there."""

    __slots__ = ("remote", "stop")

    def __init__(self) -> None:
        self.remote: RemoteTask | None = None
        self.stop: StopTask | None = None


class TaskHost:
    """`heard` is called on the I/O loop, `ended(frame)` too."""

    def __init__(
        self,
        serve: Serve,
        io: IO,
        flows: "dict[str, Flow]",
        main_loop: asyncio.AbstractEventLoop,
        ended: Callable[[TaskEnded], None],
    ) -> None:
        self._serve = serve
        self._io = io
        self._flows = flows
        self._main_loop = main_loop
        self._ended = ended
        self._threads: ThreadPoolExecutor | None = None
        self._lookup: Lookup
        self._held: dict[str, _Held] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, frame: StartTask | StopTask) -> None:
        if isinstance(frame, StartTask):
            if self._threads is None:
                from perfect_sdk.remote.lookup import Lookup

                self._lookup = Lookup(self._flows)
                self._threads = ThreadPoolExecutor(
                    self._serve.concurrency + SPARE_THREADS, thread_name_prefix="perfect-remote"
                )
            self._held[frame.hand_over.dispatch_id] = _Held()
            self._threads.submit(self._run, frame)
        else:
            held = self._held.get(frame.dispatch_id)
            if held is not None:
                held.stop = frame
                if held.remote is not None:
                    _stop(held.remote, frame)

    # -- in a thread

    def _run(self, frame: StartTask) -> None:
        hand_over = frame.hand_over
        try:
            prepared = self._prepare(frame)
        except BaseException as error:
            self._over(hand_over, "error", repr(error))
            return
        if prepared is None:
            self._over(hand_over, "ended", "")
            return
        remote, is_async = prepared
        self._io.post(self._begun, hand_over.dispatch_id, remote)
        if is_async:
            self._main_loop.call_soon_threadsafe(self._spawn, hand_over, remote)
        else:
            self._over(hand_over, *remote.execute_sync())

    def _prepare(self, frame: StartTask) -> "tuple[RemoteTask, bool] | None":
        """What is to be executed; None when it has failed before its body could be called, and that is said."""
        from perfect_sdk.remote.arguments import unpack
        from perfect_sdk.remote.execution import RemoteTask
        from perfect_sdk.remote.journal import RemoteJournal

        hand_over, client_id = frame.hand_over, self._serve.client_id
        journal = RemoteJournal(
            self._io,
            run_id=hand_over.run_id,
            epoch=hand_over.epoch,
            source=f"worker:{client_id}",
            dispatch_id=hand_over.dispatch_id,
            task_key=hand_over.task_key,
        )
        try:
            flow, task, policy = self._lookup.find(hand_over)
            arguments = unpack(hand_over.arguments, task.fn, journal.load)
        except Exception as error:
            self._io.call(self._fail, journal, hand_over, error)
            return None
        remote = RemoteTask(
            hand_over,
            flow,
            task,
            policy,
            journal,
            arguments,
            client_id=client_id,
            client_name=self._serve.client_name,
            is_claimed=frame.is_claimed,
            history=self._io.call(self._history, hand_over.run_id) if hand_over.replay else None,
        )
        return remote, task.is_async

    # -- on the main loop

    def _spawn(self, hand_over: TaskHandOver, remote: "RemoteTask") -> None:
        task = self._main_loop.create_task(self._await(hand_over, remote))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _await(self, hand_over: TaskHandOver, remote: "RemoteTask") -> None:
        self._over(hand_over, *(await remote.execute_async()))

    # -- on the I/O loop

    def _begun(self, dispatch_id: str, remote: "RemoteTask") -> None:
        held = self._held.get(dispatch_id)
        if held is not None:
            held.remote = remote
            if held.stop is not None:
                _stop(remote, held.stop)

    async def _history(self, run_id: str) -> "History":
        while True:
            try:
                return await read_history(self._io.bus, run_id)
            except BusUnavailable:
                continue

    async def _fail(self, journal: "RemoteJournal", hand_over: TaskHandOver, error: Exception) -> None:
        from perfect_bus.dispatch import started
        from perfect_sdk.encoding import failures

        base: TaskStarted = started(hand_over, self._serve.client_id)
        failed = TaskFailed(
            **{
                name: getattr(base, name)
                for name in base.__struct_fields__
                if name not in ("client_id", "dispatch_id")
            },
            duration_ms=0,
            error=failures.describe(error),
        )
        await journal.commit_async(failed)

    def _over(self, hand_over: TaskHandOver, outcome: "Ending", detail: str) -> None:
        self._io.post(self._say_over, hand_over.dispatch_id, outcome, detail)

    def _say_over(self, dispatch_id: str, outcome: str, detail: str) -> None:
        held = self._held.pop(dispatch_id, None)
        if held is not None and held.remote is not None:
            held.remote.flush()
        self._ended(TaskEnded(dispatch_id=dispatch_id, outcome=outcome, detail=detail[:2000]))


def _stop(remote: "RemoteTask", frame: StopTask) -> None:
    if frame.is_cancelled:
        remote.session.cancel()
    else:
        remote.abandon()
