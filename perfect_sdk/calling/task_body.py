"""The task's own function, as an effect of its call."""

import time
from typing import TYPE_CHECKING, Any

from perfect_sdk.calling.keys import Scope
from perfect_sdk.context import Frame, current, entered
from perfect_sdk.exceptions import TaskTimeoutError

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call


class Body:
    """Effect: call the task's function, in a frame of its own."""

    __slots__ = ("call", "deadline", "frame")

    def __init__(self, call: "Call") -> None:
        policy, caller = call.policy, call.frame
        seconds = policy.timeout_seconds
        self.call = call
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.frame = Frame(
            call.session,
            Scope(call.place.key),
            call,
            parent=caller,
            deadline=self.deadline,
            prints=caller.prints if policy.prints is None else policy.prints and call.session.captures_prints,
        )

    def run(self) -> Any:
        call = self.call
        token = current.set(self.frame)
        try:
            if call.processes is not None:
                return call.processes.run(self)
            made = call.fn(*call.args, **call.kwargs)
            if call.is_hook:
                from perfect_sdk.committing.hooks import finish

                finish(made)
            return made
        finally:
            current.reset(token)

    async def run_async(self) -> Any:
        call = self.call
        with entered(self.frame):
            made = call.fn(*call.args, **call.kwargs)
            if not hasattr(made, "__await__"):
                return made
            if self.deadline is None:
                return await made
            import asyncio

            limit = asyncio.timeout(call.policy.timeout_seconds)
            try:
                async with limit:
                    return await made
            except TimeoutError:
                if limit.expired():
                    raise self._timed_out() from None
                raise

    def check_time(self) -> None:
        """A sync function cannot be interrupted: that it took too long is seen when it is done."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise self._timed_out()

    def _timed_out(self) -> TaskTimeoutError:
        return TaskTimeoutError(
            f"task {self.call.place.key!r} took longer than its {self.call.policy.timeout_seconds:g} s"
        )
