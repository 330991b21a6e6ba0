"""Waiting for a distributed task: a moment as it is, then with the run suspended, so that it holds no slot meanwhile.

The engine resumes the run when one of the tasks that it waits for has ended, or the worker that has it is gone. What
it goes on with is found here again: by the follower of the run's tasks, which also tells what came in between.
"""

import concurrent.futures
import time
from typing import TYPE_CHECKING, Any

from perfect_sdk.remote.dispatcher import Dispatcher, News, Waiter
from perfect_sdk.running.effects import Steps
from perfect_sdk.waiting.floor import Parked, inside
from perfect_sdk.waiting.waits import give_back

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.context import Frame
    from perfect_sdk.running.session import RunSession

PATIENCE_S = 1.0  # a shorter wait is not worth a hand-over


class ParkedTask(Parked):
    """A call that waits for another worker."""

    __slots__ = ("after", "waiter")

    def __init__(self, call: "Call", waiter: Waiter) -> None:
        super().__init__(call.frame, call.place.key, "task", None)
        self.calls = set(inside(call))
        self.waiter = waiter
        self.after = waiter.after
        waiter.news.add_done_callback(lambda _: self.wake())

    @property
    def has_news(self) -> bool:  # type: ignore[override]
        return self.waiter.news.done()


def next_news(call: "Call", dispatcher: Dispatcher, waiter: Waiter) -> Steps[News]:
    if waiter.wants is not None or not _may_suspend(call):
        return (yield Await(call.session, call.frame, waiter))
    while True:
        news = yield Await(call.session, call.frame, waiter, PATIENCE_S)
        if news is not None:
            return news
        yield from give_back(ParkedTask(call, waiter))
        dispatcher.look(waiter, call.session.lost)


def _may_suspend(call: "Call") -> bool:
    """Not within a task, whose body would begin again, nor where a time limit counts, which begins anew."""
    if not call.session.run.suspends:
        return False
    frame: Frame | None = call.frame
    while frame is not None:
        if frame.deadline is not None or (frame.call is not None and not frame.call.is_flow):
            return False
        frame = frame.call.frame if frame.call is not None else frame.session.caller
    return True


class Await:
    """Effect: the next news of a task that runs elsewhere, None when there is none within `seconds`. Ends early when the
    run is to stop.
    """

    __slots__ = ("frame", "seconds", "session", "waiter")

    def __init__(
        self, session: "RunSession", frame: "Frame", waiter: Waiter, seconds: float | None = None
    ) -> None:
        self.session = session
        self.frame = frame
        self.waiter = waiter
        self.seconds = seconds

    def run(self) -> News | None:
        news, deadline, left = self.waiter.news, self.frame.deadline, self.seconds
        if deadline is not None:
            left = max(deadline - time.monotonic(), 0)
        either: list[concurrent.futures.Future[Any]] = [news, self.session.stop.future]
        concurrent.futures.wait(either, left, concurrent.futures.FIRST_COMPLETED)
        if not news.done():
            self.frame.check()
            if self.seconds is not None:
                return None
        return news.result()

    async def run_async(self) -> News | None:
        import asyncio

        news = asyncio.wrap_future(self.waiter.news)
        done, _ = await asyncio.wait([news], timeout=self.seconds)
        self.frame.check()
        return news.result() if done else None
