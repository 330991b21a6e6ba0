"""What becomes of the runs whose distributed tasks a worker holds: one follower a run, while it holds any of them."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError

from perfect_bus import Bus
from perfect_bus.dispatch import OVER
from perfect_schemas import codec
from perfect_schemas.events import TaskQueued

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

LINGER_S = 5.0
AGAIN_S = 0.2
_OF_RUN = "perfect.evt.run."
_MARKS = (b'"type":"run.', b'"replaces"')


class _Watched:
    __slots__ = ("following", "resting", "task", "users")

    def __init__(self) -> None:
        self.users = 0
        self.task: asyncio.Task[None] | None = None
        self.following: Following | None = None
        self.resting: asyncio.TimerHandle | None = None


class RunWatch:
    """over(run_id): the run has ended or is being cancelled. replaced(dispatch_id): another dispatch took its place."""

    def __init__(
        self,
        bus: Bus,
        *,
        over: Callable[[str], None],
        replaced: Callable[[str], None],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._bus = bus
        self._over = over
        self._replaced = replaced
        self._spawn = spawn
        self._runs: dict[str, _Watched] = {}

    def begin(self, run_id: str, after: int) -> None:
        """Another task of the run is held; `after`: a sequence up to which the run is known to go on."""
        watched = self._runs.get(run_id)
        if watched is None:
            watched = self._runs[run_id] = _Watched()
            watched.task = self._spawn(self._follow(run_id, watched, after))
        watched.users += 1
        if watched.resting is not None:
            watched.resting.cancel()
            watched.resting = None

    def end(self, run_id: str) -> None:
        """One of them less. The follower stays for a moment: the next task often is of the same run."""
        watched = self._runs[run_id]
        watched.users -= 1
        if watched.users == 0:
            watched.resting = asyncio.get_running_loop().call_later(LINGER_S, self._drop, run_id)

    def _drop(self, run_id: str) -> None:
        watched = self._runs.pop(run_id)
        if watched.following is not None:
            self._spawn(watched.following.unsubscribe())
        elif watched.task is not None:
            watched.task.cancel()

    async def _follow(self, run_id: str, watched: _Watched, after: int) -> None:
        async def heard(msg: "Msg", _: int) -> None:
            if not any(mark in msg.data for mark in _MARKS):
                return
            event: Any = codec.decode(msg.data)
            if msg.subject.startswith(_OF_RUN):
                if type(event) in OVER:
                    self._over(run_id)
            elif isinstance(event, TaskQueued) and event.replaces is not None:
                self._replaced(event.replaces)

        while True:
            with contextlib.suppress(NatsError, TimeoutError):
                watched.following = await self._bus.follow(
                    "EVENTS", heard, after=after, subject=f"perfect.evt.*.{run_id}"
                )
                return
            if self._bus.nc.is_closed:
                return
            await asyncio.sleep(AGAIN_S)
