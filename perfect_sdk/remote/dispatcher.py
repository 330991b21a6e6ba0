"""What becomes of the tasks that a run has handed to other workers.

One follower a run, begun with its first distributed task, folds what the workers say; each call waits for a future.
Nothing is asked for again and again.
"""

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nats.errors import Error as NatsError

from perfect_schemas import codec, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import TaskHandOver
from perfect_schemas.envelope import utc_now
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, RunState
from perfect_sdk.connecting.io import IO
from perfect_sdk.remote.lookout import Lookout

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

_MARK = b'"dispatch_id"'
AGAIN_S = 0.2
LINGER_S = 5.0


class News:
    """What a waiting call hears: the task's life, and whether the worker that has its dispatch is lost."""

    __slots__ = ("is_lost", "life")

    def __init__(self, life: TaskLife, *, is_lost: bool = False) -> None:
        self.life = life
        self.is_lost = is_lost

    @property
    def is_final(self) -> bool:
        return self.life.state in FINAL_TASK_STATES


class Waiter:
    """A call that waits. wants: the dispatch that it waits to see queued, None when it waits for the end. after: sequence
    on EVENTS behind which all that was said of its task stands.
    """

    __slots__ = ("after", "key", "news", "wants")

    def __init__(self, key: str, after: int) -> None:
        self.key = key
        self.after = after
        self.wants: str | None = None
        self.news: concurrent.futures.Future[News] = concurrent.futures.Future()

    def again(self, wants: str | None = None) -> None:
        """Before what leads to the next news is said."""
        self.wants = wants
        self.news = concurrent.futures.Future()

    def tell(self, news: News) -> None:
        if not self.news.done():
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                self.news.set_result(news)


class Dispatcher:
    """Of one run. Its public methods may be called from any thread; everything else happens on the I/O loop.

    started_at: where the run is known up to when nothing was handed over before, as a sequence on EVENTS.
    """

    def __init__(self, io: IO, run_id: str, started_at: Callable[[], int]) -> None:
        self._io = io
        self._run_id = run_id
        self._started_at = started_at
        self._history: History | None = None
        self._waiters: dict[str, Waiter] = {}
        self._following: Following | None = None
        self._starting: asyncio.Task[None] | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._position = 0  # where its follower begins
        self.seen = 0  # up to which sequence on EVENTS it has told the waiters
        self._lost: dict[str, int] = {}  # as in `History`
        self._lookout: Lookout | None = None

    def watch(
        self, key: str, epoch: int, open_lives: Iterable[TaskLife], lost: Mapping[str, int] | None = None
    ) -> Waiter:
        """Wait for what becomes of the task at `key`. Call it before anything is said.

        open_lives: the dispatches that were under way when the run was claimed.
        """
        lives, started_at = list(open_lives), self._started_at()
        waiter = Waiter(key, next((life.queued_seq - 1 for life in lives if life.key == key), started_at))
        self._io.post(self._watch, waiter, epoch, lives, started_at, dict(lost or {}))
        return waiter

    def look(self, waiter: Waiter, lost: Mapping[str, int] | None = None) -> None:
        """Tell the waiter what is known already."""
        self._io.post(self._look_again, waiter.key, dict(lost or {}))

    def forget(self, waiter: Waiter) -> None:
        with contextlib.suppress(Exception):  # the connection may be closed
            self._io.post(self._forget, waiter)

    def hand_over(self, hand_over: TaskHandOver, unserved: Callable[[], None]) -> None:
        """Put it on the bus. `unserved`: called when no worker is there that could take it."""
        self._io.put(
            subjects.task_work(hand_over.queue, hand_over.served_flow_id),
            codec.encode(hand_over),
            hand_over.dispatch_id,
        )
        self._io.post(self._check_served, hand_over, unserved)

    # -- on the I/O loop

    def _watch(
        self,
        waiter: Waiter,
        epoch: int,
        open_lives: list[TaskLife],
        started_at: int,
        lost: dict[str, int],
    ) -> None:
        self._waiters[waiter.key] = waiter
        self._lost.update(lost)
        if self._history is None:
            self._history = History(_running(self._run_id, epoch), open_lives)
            self._position = max((life.last_seq for life in open_lives), default=started_at)
            self.seen = self._position
        if self._lookout is None:
            self._lookout = Lookout.of(self._io)
            self._lookout.open(self)
        if self._following is None and self._starting is None:
            self._starting = self._io.spawn(self._start(self._position))
        self._look(waiter.key)

    def _look_again(self, key: str, lost: dict[str, int]) -> None:
        self._lost.update(lost)
        self._look(key)

    def _forget(self, waiter: Waiter) -> None:
        if self._waiters.get(waiter.key) is waiter:
            del self._waiters[waiter.key]
            assert self._history is not None
            life = self._history.tasks.get(waiter.key)
            if life is not None and life.state in FINAL_TASK_STATES:
                del self._history.tasks[waiter.key]  # its result need not be kept any longer
        if not self._waiters and self._lookout is not None:
            self._lookout.close(self)
            self._lookout = None
            if self._resting is None:
                self._resting = asyncio.get_running_loop().call_later(LINGER_S, self._rest)

    async def _start(self, after: int) -> None:
        while True:
            try:
                self._following = await self._io.bus.follow(
                    "EVENTS", self._heard, after=after, subject=subjects.task(self._run_id)
                )
            except (NatsError, TimeoutError):
                if self._io.bus.nc.is_closed:
                    return
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def _heard(self, msg: "Msg", seq: int) -> None:
        if _MARK in msg.data:
            self._apply(msg.data, seq)
        self.seen = seq

    def _apply(self, data: bytes, seq: int) -> None:
        event: Any = codec.decode(data)
        history = self._history
        if isinstance(event, UnknownEvent) or history is None:
            return
        known = history.tasks.get(event.task_key)
        if known is not None and seq <= known.last_seq:
            return
        if history.apply(event, seq):
            self._look(event.task_key)

    def _look(self, key: str) -> None:
        waiter = self._waiters.get(key)
        life = self._history.tasks.get(key) if self._history is not None else None
        if waiter is None or life is None:
            return
        if life.state in FINAL_TASK_STATES or (waiter.wants and waiter.wants == life.dispatch_id):
            waiter.tell(News(life))
        elif life.client_id is not None and waiter.wants is None:
            if life.last_seq < self._lost.get(life.client_id, 0):
                waiter.tell(News(life, is_lost=True))
            elif self._lookout is not None:
                self._lookout.expect(life.client_id)

    # -- who has them

    def clients_known(self) -> None:
        for key in list(self._waiters):
            self._look(key)

    def client_lost(self, client_id: str) -> None:
        assert self._history is not None
        for key, waiter in list(self._waiters.items()):
            life = self._history.tasks.get(key)
            if (
                life is not None
                and waiter.wants is None
                and life.client_id == client_id
                and life.state not in FINAL_TASK_STATES
            ):
                waiter.tell(News(life, is_lost=True))

    def _check_served(self, hand_over: TaskHandOver, unserved: Callable[[], None]) -> None:
        self._io.spawn(self._when_known(hand_over, unserved))

    async def _when_known(self, hand_over: TaskHandOver, unserved: Callable[[], None]) -> None:
        lookout = self._lookout
        if lookout is not None:
            await lookout.known.wait()
            if lookout is self._lookout and not lookout.serves(hand_over.queue, hand_over.served_flow_id):
                unserved()

    def _rest(self) -> None:
        """Nobody waits for a while: the follower ends, and begins again where it was when somebody does."""
        self._resting = None
        if self._waiters or self._following is None:
            return
        following, self._following, self._starting = self._following, None, None
        self._position = following.last
        self._io.spawn(following.unsubscribe())


def _running(run_id: str, epoch: int) -> RunLife:
    """Stands for the run, which is this process's as long as it waits."""
    return RunLife(
        id=run_id,
        flow_id="",
        flow_name="",
        state=RunState.RUNNING,
        created_at=utc_now(),
        last_seq=0,
        epoch=epoch,
    )
