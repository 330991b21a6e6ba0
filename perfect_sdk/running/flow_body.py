"""The flow's own function, as an effect of its session."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perfect_sdk.calling.keys import Scope
from perfect_sdk.context import Frame, entered

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunSession


class FlowBody:
    """Effect: call the flow's function."""

    __slots__ = ("args", "deadline", "frame", "kwargs", "session")

    def __init__(self, session: "RunSession", args: list[Any], kwargs: dict[str, Any]) -> None:
        policy = session.flow.policy
        seconds = policy.timeout_seconds
        self.session = session
        self.args = args
        self.kwargs = kwargs
        self.deadline = None if seconds is None else time.monotonic() + seconds
        prints = policy.prints
        if prints is None:
            prints = session.caller.prints if session.caller is not None else True
        self.frame = Frame(
            session,
            Scope(),
            parent=session.caller,
            deadline=self.deadline,
            prints=prints and session.captures_prints,
        )

    def run(self) -> Any:
        with entered(self.frame), self._open():
            value = self.session.flow.fn(*self.args, **self.kwargs)
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise self.frame.timed_out()
        return value

    @contextmanager
    def _open(self) -> Iterator[None]:
        floor, code = self.session.floor, self.session.code
        floor.opened(code)
        try:
            yield
        finally:
            floor.closed(code)

    async def run_async(self) -> Any:
        with entered(self.frame), self._open():
            made = self.session.flow.fn(*self.args, **self.kwargs)
            if self.deadline is None:
                return await made
            import asyncio

            limit = asyncio.timeout(self.session.flow.policy.timeout_seconds)
            try:
                async with limit:
                    return await made
            except TimeoutError:
                if limit.expired():
                    raise self.frame.timed_out() from None
                raise
