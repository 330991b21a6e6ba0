"""What runs submitted calls: sync tasks in threads, async ones on the flow's event loop (a sync flow gets one in a
thread of its own). A key is taken when a call is submitted, so keys do not depend on which call ends first.
"""

import concurrent.futures
import threading
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from perfect_sdk.context import current
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.futures import PerfectFuture
from perfect_sdk.running.effects import drive_async, settle
from perfect_sdk.submitting.upstream import Upstream, open_inputs
from perfect_sdk.waiting.floor import around

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession
    from perfect_sdk.submitting.process_pool import Processes

MAX_WORKERS = 64

_here = threading.local()


class ThreadPoolTaskRunner:
    """`@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))`: at most so many submitted calls run at a time.

    max_workers: None means up to 64 threads for sync tasks, and no limit for async ones.
    """

    uses_processes = False

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and max_workers < 1:
            raise NotSupported(f"max_workers is at least 1, not {max_workers}")
        self.max_workers = max_workers

    def __repr__(self) -> str:
        return f"ThreadPoolTaskRunner(max_workers={self.max_workers})"


ConcurrentTaskRunner = ThreadPoolTaskRunner


class Job:
    """A submitted call. Whoever claims it first runs it: a thread of the pool, or the one that waits for it."""

    def __init__(self, pool: "Pool", call: "Call") -> None:
        self.pool = pool
        self.call = call
        self.future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self.context: Context = copy_context()
        self._claim = threading.Lock()
        self.loop: Any = None  # of an async task: the loop that it runs on, and its asyncio task there
        self.task: Any = None

    @property
    def started(self) -> bool:
        return self._claim.locked()

    def run(self) -> None:
        if self._claim.acquire(blocking=False) and self.future.set_running_or_notify_cancel():
            self.context.run(settle, self.future, self.call.steps())
        self.pool.ended(self)

    def drop(self) -> None:
        """Never run it, unless it has begun."""
        if self._claim.acquire(blocking=False):
            self.future.cancel()
            self.future.set_running_or_notify_cancel()
            self.pool.ended(self)

    def help(self) -> None:
        """A thread of the pool that is about to wait for this job runs it itself, so that a small pool never stands
        still because all of its threads wait for calls that have no thread.
        """
        if self.loop is None and getattr(_here, "pool", None) is self.pool and not self.started:
            self.run()

    def wait(self, timeout: float | None) -> None:
        self.help()
        if self.future.done():
            return
        if self.loop is not None and _running_loop() is self.loop:
            raise NotSupported(
                f"waiting for task {self.call.place.key!r} here would stop the event loop that it runs on: "
                "write `await future` instead of `future.result()` or `future.wait()`"
            )
        stop = self.call.session.stop.future
        floor, is_timed = self.call.session.floor, timeout is not None
        with floor.awaiting(around(current.get()), [self.future], is_timed=is_timed):
            concurrent.futures.wait([self.future, stop], timeout, concurrent.futures.FIRST_COMPLETED)
        if stop.done() and not self.future.done():
            self.call.session.stop.raise_()

    def is_recorded(self) -> bool:
        replay = self.call.session.replay
        record = replay.keys.get(self.call.place.key) if replay is not None else None
        return record is not None and record.end_time is not None


def _running_loop() -> Any:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Pool:
    """The threads and the loop that a run's submitted calls use."""

    def __init__(self, session: "RunSession") -> None:
        self._session = session
        self._limit = session.flow.task_runner.max_workers
        self._processes: Processes | None = None
        if session.flow.task_runner.uses_processes:
            from perfect_sdk.submitting import process_pool

            self._processes = process_pool.Processes()
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._open: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._own_loop: Any = None
        self._semaphore: Any = None

    def submit(self, call: "Call", *, is_async: bool) -> PerfectFuture[Any]:
        call.frame.check()
        job = Job(self, call)
        call.is_submitted = True
        self._session.floor.opened(call, begun=False)
        with self._lock:
            self._open[id(job)] = job
        call.processes = None if call.is_remote else self._processes
        if call.is_remote:  # it only waits: hundreds at a time need no threads, nor the flow's loop
            self._submit_async(job, self._loop_of_its_own(), limited=False)
            return PerfectFuture(call, job)
        if is_async and self._processes is None:
            job.loop = self._session.loop or self._loop_of_its_own()
        if awaited := open_inputs(call):
            Upstream(job, awaited, self._begin)
        else:
            self._begin(job)
        return PerfectFuture(call, job)

    def _begin(self, job: Job) -> None:
        if job.loop is None:
            self._executor().submit(job.run)
        else:
            self._submit_async(job, job.loop, limited=True)

    def _executor(self) -> concurrent.futures.ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(
                    self._limit or MAX_WORKERS, "perfect-task", initializer=self._enter_thread
                )
            return self._threads

    def _enter_thread(self) -> None:
        _here.pool = self

    def _submit_async(self, job: Job, loop: Any, *, limited: bool) -> None:
        import asyncio

        job.loop = loop
        if limited and self._limit is not None and self._semaphore is None:
            self._semaphore = asyncio.Semaphore(self._limit)

        def begin() -> None:
            # In the submitter's context, so that the asyncio task has its scope.
            job.task = job.context.run(loop.create_task, self._run_async(job, limited))

        if _running_loop() is loop:
            begin()
        else:
            loop.call_soon_threadsafe(begin)

    async def _run_async(self, job: Job, limited: bool) -> None:
        try:
            if self._semaphore is None or not limited:
                await self._drive(job)
            else:
                async with self._semaphore:
                    await self._drive(job)
        finally:
            if not job.future.done():
                job.future.cancel()
                job.future.set_running_or_notify_cancel()
            self.ended(job)

    async def _drive(self, job: Job) -> None:
        import asyncio

        if not (job._claim.acquire(blocking=False) and job.future.set_running_or_notify_cancel()):
            return
        try:
            value = await drive_async(job.call.steps())
        except asyncio.CancelledError as error:
            job.future.set_exception(error)
            raise
        except BaseException as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(value)

    def _loop_of_its_own(self) -> Any:
        """The loop, in a thread, on which a sync flow's async tasks run."""
        with self._lock:
            if self._own_loop is None:
                import asyncio

                from perfect_sdk.context import branching

                loop = self._own_loop = asyncio.new_event_loop()

                def serve() -> None:
                    with branching(loop):
                        loop.run_forever()
                        tasks = asyncio.all_tasks(loop)
                        for task in tasks:
                            task.cancel()
                        if tasks:
                            loop.run_until_complete(asyncio.wait(tasks))
                        loop.run_until_complete(loop.shutdown_asyncgens())
                    loop.close()

                threading.Thread(target=serve, name="perfect-loop", daemon=True).start()
            return self._own_loop

    # -- the end

    def ended(self, job: Job) -> None:
        with self._lock:
            self._open.pop(id(job), None)
        self._session.floor.closed(job.call)

    def open(self) -> list[PerfectFuture[Any]]:
        with self._lock:
            return [PerfectFuture(job.call, job) for job in self._open.values()]

    def drop_waiting(self) -> None:
        with self._lock:
            jobs = list(self._open.values())
        for job in reversed(jobs):  # what waits for others first: their end would have it begun
            job.drop()

    def close(self) -> None:
        """Nothing more is begun; what still runs is left to itself (its run has ended: it can record nothing)."""
        self.drop_waiting()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._processes is not None:
            self._processes.close()
        if self._own_loop is not None:
            self._own_loop.call_soon_threadsafe(self._own_loop.stop)
        with self._lock:
            tasks = [
                job.task
                for job in self._open.values()
                if job.task is not None and job.loop is not self._own_loop
            ]
        for task in tasks:
            self._session.loop.call_soon_threadsafe(task.cancel)
