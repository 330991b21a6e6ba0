"""Futures: the results of submitted calls, now or later."""

import concurrent.futures
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from perfect_sdk.context import current
from perfect_sdk.elsewhere import names_of
from perfect_sdk.exceptions import CancelledRun
from perfect_sdk.states import Cancelled, Pending, Running, State
from perfect_sdk.waiting.floor import around

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.submitting.pool import Job

R = TypeVar("R")


class PerfectFuture(Generic[R]):
    """The result of a submitted call, now or later. In async code it can be awaited.

    made: whether any was, so that inputs need looking through.
    """

    made: ClassVar[bool] = False

    def __init__(self, call: "Call", job: "Job") -> None:
        PerfectFuture.made = True
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
        return self._call.state_of(done.result()) if error is None else self._call.state_by(error)

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
            floor = self._call.session.floor
            with floor.awaiting(around(current.get()), [self._job.future]):
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


PrefectFutureList = PerfectFutureList


def resolve_futures_to_results(expr: Any) -> Any:
    """`expr` with the results of the futures in its lists, tuples, sets and dicts. Waits for them; raises what failed."""
    from perfect_sdk.calling import inputs

    found = [one for one in inputs.find(expr) if isinstance(one, PerfectFuture)]
    wait(found)
    for future in found:
        future.result()
    return inputs.replace(expr)


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
        waiting, is_timed = list(around(current.get())), self._timeout is not None
        ending = concurrent.futures.as_completed(by_done, self._timeout)
        left = set(by_done)
        while left:
            with open_ones[0]._call.session.floor.awaiting(waiting, [*left], is_timed=is_timed):
                done = next(ending)
            left.discard(done)
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


_named = names_of(__name__)


def __getattr__(name: str) -> Any:
    """The futures of `task.delay` need more than those of `submit`, and are loaded when somebody names them."""
    if name in ("PerfectDistributedFuture", "PrefectDistributedFuture"):
        from perfect_sdk.background import distributed_future

        return distributed_future.PerfectDistributedFuture
    return _named(name)
