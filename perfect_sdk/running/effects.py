"""What executing a run does to the world, one class an effect, each in a blocking and an asynchronous form.

The rules of execution (`execution.py`, `session.py`) are generators that yield effects and get their outcome back, so
that sync and async code follow the same rules: `drive` carries them out in the calling thread, `drive_async` on the
running loop.
"""

import concurrent.futures
import time
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from perfect_sdk.committing.hooks import finish
from perfect_sdk.running.clock import taken

if TYPE_CHECKING:
    from perfect_schemas.envelope import Event
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession

T = TypeVar("T")


class Effect(Protocol):
    def run(self) -> Any: ...

    async def run_async(self) -> Any: ...


Steps = Generator[Effect, Any, T]


def drive(steps: Steps[T]) -> T:
    try:
        effect = next(steps)
        while True:
            try:
                got = effect.run()
            except BaseException as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(got)
    except StopIteration as end:
        return end.value


async def drive_async(steps: Steps[T]) -> T:
    try:
        effect = next(steps)
        while True:
            try:
                got = await effect.run_async()
            except BaseException as error:
                effect = steps.throw(error)
            else:
                effect = steps.send(got)
    except StopIteration as end:
        return end.value


class Commit:
    """Store an event; see `Journal.commit`."""

    __slots__ = ("event", "session")

    def __init__(self, session: "RunSession", event: "Event") -> None:
        self.session = session
        self.event = event

    def run(self) -> None:
        try:
            self._say_what_is_held()
            self.session.journal.commit(self.event)
        except BaseException as error:
            self.session.refused(self.event, error)
            raise
        self.session.stored(self.event)

    async def run_async(self) -> None:
        try:
            self._say_what_is_held()
            await self.session.journal.commit_async(self.event)
        except BaseException as error:
            self.session.refused(self.event, error)
            raise
        self.session.stored(self.event)

    def _say_what_is_held(self) -> None:
        pace = self.session.pace
        if pace is not None:
            pace.before(self.event)


class Sleep:
    """Ends early, with RunCancelledError or its like, when the run is to stop. call: that sleeps; None: the flow."""

    __slots__ = ("call", "seconds", "session")

    def __init__(self, session: "RunSession", seconds: float, call: "Call | None" = None) -> None:
        self.session = session
        self.seconds = seconds
        self.call = call

    def run(self) -> None:
        clock = taken()
        if clock is not None:
            clock.sleep(self.seconds, self.session, self.call)
        else:
            self.session.stop.sleep(self.seconds)

    async def run_async(self) -> None:
        import asyncio

        clock = taken()
        if clock is not None:
            await clock.sleep_async(self.seconds, self.session, self.call)
        elif self.seconds > 0:
            await asyncio.sleep(self.seconds)
        if self.session.stop.kind is not None:
            self.session.stop.raise_()


class Blocking:
    """I/O that only has a blocking form; async code leaves it to a thread."""

    __slots__ = ("work",)

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def run(self) -> Any:
        return self.work()

    async def run_async(self) -> Any:
        import asyncio

        return await asyncio.to_thread(self.work)


class Future:
    """What another thread works out. Ends early when the run is to stop, with TimeoutError at `deadline` (monotonic)."""

    __slots__ = ("deadline", "future", "session")

    def __init__(
        self,
        session: "RunSession",
        future: "concurrent.futures.Future[Any]",
        deadline: float | None = None,
    ) -> None:
        self.session = session
        self.future = future
        self.deadline = deadline

    def run(self) -> Any:
        left = None if self.deadline is None else max(self.deadline - time.monotonic(), 0)
        concurrent.futures.wait(
            [self.future, self.session.stop.future], left, concurrent.futures.FIRST_COMPLETED
        )
        return self._result()

    async def run_async(self) -> Any:
        import asyncio

        loop = asyncio.get_running_loop()
        ready = asyncio.Event()

        def wake(*_: Any) -> None:
            loop.call_soon_threadsafe(ready.set)

        self.future.add_done_callback(wake)
        self.session.stop.add(wake)
        left = None if self.deadline is None else max(self.deadline - time.monotonic(), 0)
        try:
            async with asyncio.timeout(left):
                await ready.wait()
        except TimeoutError:
            pass
        except BaseException:
            self.future.cancel()
            raise
        finally:
            self.session.stop.remove(wake)
        return self._result()

    def _result(self) -> Any:
        if self.future.done():
            return self.future.result()
        self.future.cancel()
        if self.session.stop.kind is not None:
            self.session.stop.raise_()
        raise TimeoutError


class Waiting(Protocol):
    def wait(self) -> None: ...

    async def wait_async(self) -> None: ...


class WaitFor:
    """Until all of these futures are done, whatever became of them."""

    __slots__ = ("futures",)

    def __init__(self, futures: Iterable[Waiting]) -> None:
        self.futures = futures

    def run(self) -> None:
        for future in self.futures:
            future.wait()

    async def run_async(self) -> None:
        for future in self.futures:
            await future.wait_async()


class CallHook:
    """A hook of the user's: its failure is logged and changes nothing."""

    __slots__ = ("arguments", "hook", "session")

    def __init__(self, session: "RunSession", hook: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.session = session
        self.hook = hook
        self.arguments = arguments

    def run(self) -> None:
        try:
            finish(self.hook(*self.arguments))
        except Exception as error:
            self._failed(error)

    async def run_async(self) -> None:
        try:
            made = self.hook(*self.arguments)
            if hasattr(made, "__await__"):
                await made
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        name = getattr(self.hook, "__name__", repr(self.hook))
        self.session.say(40, f"hook {name!r} failed: {type(error).__name__}: {error}", error=error)


def settle(future: "concurrent.futures.Future[Any]", steps: Steps[Any]) -> None:
    """Drive `steps` and put what became of them into `future`."""
    try:
        value = drive(steps)
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)
