"""Submitted calls: futures, and the pool that runs them.

Sync tasks run in threads of the pool, async ones on the flow's event loop (a sync flow gets one in a thread of its
own). A key is taken when a call is submitted, so keys do not depend on which call ends first.
"""

import concurrent.futures
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from perfect_sdk.annotations import Annotation, allow_failure, quote
from perfect_sdk.context import current
from perfect_sdk.effects import drive_async, settle
from perfect_sdk.exceptions import CancelledRun, NotSupported, UpstreamTaskError
from perfect_sdk.states import Cancelled, Completed, Failed, Pending, Running, State

if TYPE_CHECKING:
    from perfect_sdk.execution import Call
    from perfect_sdk.session import RunSession

R = TypeVar("R")
MAX_WORKERS = 64

_here = threading.local()


class ThreadPoolTaskRunner:
    """`@flow(task_runner=ThreadPoolTaskRunner(max_workers=8))`: at most so many submitted calls run at a time.

    max_workers: None means up to 64 threads for sync tasks, and no limit for async ones.
    """

    def __init__(self, max_workers: int | None = None) -> None:
        if max_workers is not None and max_workers < 1:
            raise NotSupported(f"max_workers is at least 1, not {max_workers}")
        self.max_workers = max_workers

    def __repr__(self) -> str:
        return f"ThreadPoolTaskRunner(max_workers={self.max_workers})"


ConcurrentTaskRunner = ThreadPoolTaskRunner


class PerfectFuture(Generic[R]):
    """The result of a submitted call, now or later. In async code it can be awaited."""

    def __init__(self, call: "Call", job: "Job") -> None:
        self._call = call
        self._job = job

    def __repr__(self) -> str:
        return f"PerfectFuture({self._call.place.key!r}, {self.state.name})"

    @property
    def task_run_id(self) -> str:
        return self._call.id

    @property
    def state(self) -> State[R]:
        done = self._job.future
        if not done.done():
            return Running() if self._job.started else Pending()
        if done.cancelled():
            return Cancelled()
        error = done.exception()
        return Completed(data=done.result()) if error is None else Failed(message=str(error), data=error)

    def done(self) -> bool:
        return self._job.future.done()

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """The task's result. Raises its exception (or returns it), or TimeoutError after `timeout` seconds."""
        self.wait(timeout)
        done = self._job.future
        if not done.done():
            raise TimeoutError(f"task {self._call.place.key!r} was not done after {timeout:g} s")
        if done.cancelled():
            raise CancelledRun(f"task {self._call.place.key!r} was not begun: its run ended before")
        error = done.exception()
        if error is None:
            return done.result()
        if raise_on_failure or not isinstance(error, Exception):
            raise error
        return error  # type: ignore[return-value]

    def wait(self, timeout: float | None = None) -> None:
        """Until it is done, or `timeout` seconds have passed. Ends early when the run is to stop."""
        done = self._job.future
        if not done.done():
            self._job.wait(timeout)
        frame = current.get()
        if frame is not None:
            frame.check()

    async def result_async(self, raise_on_failure: bool = True) -> R:
        await self.wait_async()
        return self.result(raise_on_failure=raise_on_failure)

    async def wait_async(self) -> None:
        import asyncio

        if not self._job.future.done():
            waiting = asyncio.wrap_future(self._job.future)
            # A failure is raised by `result`, to whoever asks for it.
            waiting.add_done_callback(lambda done: done.cancelled() or done.exception())
            await asyncio.wait([waiting])

    def __await__(self) -> Generator[Any, None, R]:
        return self.result_async().__await__()

    def add_done_callback(self, fn: "Callable[[PerfectFuture[R]], None]") -> None:
        self._job.future.add_done_callback(lambda _: fn(self))


PrefectFuture = PerfectFuture


class PerfectFutureList(list[PerfectFuture[R]]):
    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        wait(self, timeout)
        return [future.result(timeout=0, raise_on_failure=raise_on_failure) for future in self]

    def wait(self, timeout: float | None = None) -> None:
        wait(self, timeout)

    async def result_async(self, raise_on_failure: bool = True) -> list[R]:
        return [await future.result_async(raise_on_failure) for future in self]

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self.result_async().__await__()


class DoneAndNotDone(NamedTuple):
    done: set[PerfectFuture[Any]]
    not_done: set[PerfectFuture[Any]]


def wait(futures: Iterable[PerfectFuture[Any]], timeout: float | None = None) -> DoneAndNotDone:
    """Until all are done, or `timeout` seconds have passed."""
    import time

    futures = list(futures)
    deadline = None if timeout is None else time.monotonic() + timeout
    for future in futures:
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        future.wait(left)
    done = {future for future in futures if future.done()}
    return DoneAndNotDone(done, set(futures) - done)


class as_completed(Generic[R]):  # noqa: N801  reads like a function where it is used
    """`for future in as_completed(futures)` (or `async for`): as they end.

    What a resumed run has done already comes first, in the order in which it ended then. Raises TimeoutError after
    `timeout` seconds.
    """

    def __init__(self, futures: Iterable[PerfectFuture[R]], timeout: float | None = None) -> None:
        self._futures = list(futures)
        self._timeout = timeout

    def __iter__(self) -> Iterator[PerfectFuture[R]]:
        by_done: dict[Any, PerfectFuture[R]] = {}
        replayed, open_ones = self._split()
        yield from replayed
        for future in open_ones:
            by_done[future._job.future] = future
        for future in open_ones:
            future._job.help()
        for done in concurrent.futures.as_completed(by_done, self._timeout):
            yield by_done[done]

    async def __aiter__(self) -> AsyncIterator[PerfectFuture[R]]:
        import asyncio

        replayed, open_ones = self._split()
        for future in replayed:
            yield future
        by_done = {asyncio.ensure_future(_done(future)): future for future in open_ones}
        pending = set(by_done)
        async with asyncio.timeout(self._timeout):
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for each in done:
                    yield by_done[each]

    def _split(self) -> tuple[list[PerfectFuture[R]], list[PerfectFuture[R]]]:
        """Those whose end is recorded, in the order recorded, and the others.

        A recorded call does nothing but return: waiting for it to say so takes no time.
        """
        recorded = [future for future in self._futures if future._job.is_recorded()]
        for future in recorded:
            future.wait()
        recorded = [future for future in recorded if future._call.seq is not None]
        recorded.sort(key=lambda future: future._call.seq or 0)
        chosen = set(map(id, recorded))
        return recorded, [future for future in self._futures if id(future) not in chosen]


async def _done(future: PerfectFuture[Any]) -> None:
    await future.wait_async()


# -- futures among inputs


def find(value: Any) -> list[PerfectFuture[Any] | Annotation[Any]]:
    """All futures, and marks without one, in nested lists, tuples, sets and dicts."""
    found: list[PerfectFuture[Any] | Annotation[Any]] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[PerfectFuture[Any] | Annotation[Any]]) -> None:
    if isinstance(value, PerfectFuture):
        found.append(value)
    elif isinstance(value, Annotation):
        found.append(value)
        if not isinstance(value, quote):
            _collect(value.value, found)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            _collect(each, found)
    elif isinstance(value, dict):
        for each in value.values():
            _collect(each, found)


def replace(value: Any, *, failing: bool = False) -> Any:
    """`value` with the results of its futures (all done) in their places. Raises UpstreamTaskError for a failed one."""
    if isinstance(value, PerfectFuture):
        return _outcome(value, failing)
    if isinstance(value, quote):
        return value.value
    if isinstance(value, allow_failure):
        return replace(value.value, failing=True)
    if isinstance(value, Annotation):
        return replace(value.value, failing=failing)
    kind = type(value)
    if kind is list or isinstance(value, PerfectFutureList):
        return [replace(each, failing=failing) for each in value]
    if kind in (tuple, set, frozenset):
        return kind([replace(each, failing=failing) for each in value])
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind(*[replace(each, failing=failing) for each in value])
    if kind is dict and isinstance(value, dict):
        return {key: replace(each, failing=failing) for key, each in value.items()}
    return value


def _outcome(future: PerfectFuture[Any], failing: bool) -> Any:
    if future._job.future.cancelled():
        return future.result()
    error = future._job.future.exception()
    if error is None:
        return future._job.future.result()
    if not isinstance(error, Exception):
        raise error
    if failing:
        return error
    raise UpstreamTaskError(
        f"its input, task {future._call.place.key!r}, failed: {type(error).__name__}: {error} "
        "(wrap it in allow_failure() to run all the same)"
    ) from error


# -- running them


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
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._open: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._own_loop: Any = None
        self._semaphore: Any = None

    def submit(self, call: "Call", *, is_async: bool) -> PerfectFuture[Any]:
        call.frame.check()
        job = Job(self, call)
        with self._lock:
            self._open[id(job)] = job
        if is_async:
            self._submit_async(job)
        else:
            self._executor().submit(job.run)
        return PerfectFuture(call, job)

    def _executor(self) -> concurrent.futures.ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(
                    self._limit or MAX_WORKERS, "perfect-task", initializer=self._enter_thread
                )
            return self._threads

    def _enter_thread(self) -> None:
        _here.pool = self

    def _submit_async(self, job: Job) -> None:
        import asyncio

        loop = job.loop = self._session.loop or self._loop_of_its_own()
        if self._limit is not None and self._semaphore is None:
            self._semaphore = asyncio.Semaphore(self._limit)

        def begin() -> None:
            # In the submitter's context, so that the asyncio task has its scope.
            job.task = job.context.run(loop.create_task, self._run_async(job))

        if _running_loop() is loop:
            begin()
        else:
            loop.call_soon_threadsafe(begin)

    async def _run_async(self, job: Job) -> None:
        try:
            if self._semaphore is None:
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

    def open(self) -> list[PerfectFuture[Any]]:
        with self._lock:
            return [PerfectFuture(job.call, job) for job in self._open.values()]

    def drop_waiting(self) -> None:
        with self._lock:
            jobs = list(self._open.values())
        for job in jobs:
            job.drop()

    def close(self) -> None:
        """Nothing more is begun; what still runs is left to itself (its run has ended: it can record nothing)."""
        self.drop_waiting()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        if self._own_loop is not None:
            self._own_loop.call_soon_threadsafe(self._own_loop.stop)
            return
        with self._lock:
            tasks = [job.task for job in self._open.values() if job.task is not None]
        for task in tasks:
            self._session.loop.call_soon_threadsafe(task.cancel)
