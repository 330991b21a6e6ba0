"""What is under way in a run, and what of it waits: whether the run may be suspended, and for which wait.

A run rests when its `run.suspended` is stored and its code stays in memory: nothing of it goes on then. It ends with the
run's next claim (`go_on`), or with its code being unwound.
"""

import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Union

from perfect_schemas.envelope import utc_now
from perfect_schemas.events.run import WaitsFor

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.context import Frame
    from perfect_sdk.running.session import RunSession

_NEVER = datetime.max.replace(tzinfo=UTC)
_ORDER = {"sleep": 0, "input": 1, "child": 2}


class Code:
    """A flow's own code, while it runs: it waits only where it is known to."""

    __slots__ = ("session",)
    is_flow = True

    def __init__(self, session: "RunSession") -> None:
        self.session = session


Open = Union["Call", Code]


class Parked:
    """A wait that is ready for the suspension of its run. is_chosen: it is the one to suspend it. is_settling: other
    branches get a moment before anything is chosen. is_over: the run was resumed, and this wait is not waited for any
    more. is_held: the run is to pause there, so submitted calls that have not begun do not count as under way.
    has_news: what it waits for has come, without the clock: it is about to go on. after: of a distributed task, see
    `remote.dispatcher.Waiter`.
    """

    __slots__ = (
        "calls",
        "frame",
        "input_schema",
        "is_chosen",
        "is_over",
        "is_settling",
        "key",
        "rank",
        "waits_for",
        "wake",
        "wake_at",
    )
    is_held = False
    has_news = False
    after = 0

    def __init__(
        self,
        frame: "Frame",
        key: str,
        waits_for: WaitsFor,
        wake_at: datetime | None,
        input_schema: dict[str, Any] | None = None,
    ) -> None:
        self.frame = frame
        self.key = key
        self.waits_for: WaitsFor = waits_for
        self.wake_at = wake_at
        self.input_schema = input_schema
        self.calls: set[Open] = set(around(frame))
        self.rank = (-_depth(frame), wake_at or _NEVER, _ORDER.get(waits_for, 3))
        self.is_chosen = False
        self.is_settling = False
        self.is_over = False
        self.wake: Callable[[], None] = lambda: None

    @property
    def session(self) -> "RunSession":
        return self.frame.session

    @property
    def is_due(self) -> bool:
        return self.wake_at is not None and self.wake_at <= utc_now()


class Floor:
    """What is under way in a run and its inline child runs: calls that are open, and waits that are parked.

    A call that waits for the results of others is not under way: what they wait for, it waits for. pins: how many things
    the code holds that end with the run's epoch (slots of limits). is_resting: see the module.
    """

    __slots__ = ("_is_kept", "_lock", "_open", "_pins", "_unbegun", "_waiting", "is_resting", "parked")

    def __init__(self) -> None:
        self.parked: list[Parked] = []
        self.is_resting = False
        self._is_kept = False
        self._open: dict[Open, int] = {}  # a submitted call is opened twice: until its future is done, too
        self._unbegun: set[Open] = set()  # submitted ones that nothing has been done for
        self._waiting: dict[int, tuple[set[Open], list[concurrent.futures.Future[Any]], bool]] = {}
        self._pins = 0
        self._lock = threading.Lock()

    # -- what is under way

    def is_busy_beside(self, asleep: "set[Open]") -> bool:
        """Whether anything goes on but what sleeps, and what waits for the results of others. For clocks of tests."""
        waiting = {
            call
            for calls, futures, _ in list(self._waiting.values())
            if any(not future.done() for future in futures)
            for call in calls
        }
        return any(call not in asleep and call not in waiting for call in list(self._open))

    def opened(self, call: Open, *, begun: bool = True) -> None:
        if begun:
            self._unbegun.discard(call)
        else:
            self._unbegun.add(call)
        self._open[call] = self._open.get(call, 0) + 1

    def closed(self, call: Open) -> None:
        left = self._open.get(call, 0) - 1
        if left > 0:
            self._open[call] = left
        else:
            self._open.pop(call, None)
            self._unbegun.discard(call)
        if self.parked:
            self._look_again()

    def pin(self, count: int) -> None:
        with self._lock:
            self._pins += count
        if self.parked and count < 0:
            self._look_again()

    @contextmanager
    def awaiting(
        self,
        calls: "Iterable[Open]",
        futures: "list[concurrent.futures.Future[Any]]",
        *,
        is_timed: bool = False,
    ) -> "Iterator[None]":
        """While inside, these calls wait for the futures. is_timed: for a time only, with which a distributed task does
        not put them off.
        """
        entry = (set(calls), futures, is_timed)
        with self._lock:
            self._waiting[id(entry)] = entry
        if self.parked:
            self._choose()
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[id(entry)]

    # -- what waits

    def park(self, parked: Parked) -> None:
        """It waits from now on; nothing is chosen before it is `settled`."""
        with self._lock:
            if parked not in self.parked:
                self.parked.append(parked)
                parked.is_settling = True

    def settled(self, parked: Parked) -> None:
        parked.is_settling = False
        self._choose()

    def leave(self, parked: Parked) -> None:
        with self._lock:
            if parked in self.parked:
                self.parked.remove(parked)
        if self.parked:
            self._look_again()

    def turn_of(self, parked: Parked) -> bool | None:
        """True: it is to suspend the run. False: it is over, or its time has come first. None: it waits."""
        with self._lock:
            if parked.is_over:
                return False
            if parked.is_chosen:
                return True
            if parked.is_held:
                return None if parked.session.is_pausing else False
            if (parked.is_due or parked.has_news) and not self._is_suspending():
                return False
            return None

    def has_clock(self, parked: Parked) -> bool:
        """Whether it ends by its own clock: while the run is being suspended or rests, the engine's counts."""
        return parked.wake_at is not None and not self._is_suspending()

    def _is_suspending(self) -> bool:
        return self.is_resting or any(one.is_chosen for one in self.parked)

    def wake_held(self) -> None:
        """Whoever stands still because the run is to pause looks again whether it is."""
        with self._lock:
            parked = [one for one in self.parked if one.is_held]
        for one in parked:
            one.wake()

    def _look_again(self) -> None:
        """A branch may be about to go on: one of those that wait gives it a moment, and then chooses."""
        with self._lock:
            one = next((one for one in self.parked if not one.is_chosen), None)
            if one is not None:
                one.is_settling = True
        if one is not None:
            one.wake()

    def _choose(self) -> None:
        """Nothing but waits is left: the next one's turn."""
        with self._lock:
            parked = self.parked
            if not parked or self._is_suspending() or any(one.is_settling or one.has_news for one in parked):
                return
            if self._is_under_way():
                return
            chosen = min(parked, key=lambda one: one.rank)
            chosen.is_chosen = True
        chosen.wake()

    def _is_under_way(self) -> bool:
        parked = self.parked
        for_task = any(one.waits_for == "task" for one in parked)
        if self._pins and for_task:
            return True  # what the task is to be limited by would end with the epoch
        waiting: set[Open] = set().union(*(one.calls for one in parked))
        for calls, futures, is_timed in self._waiting.values():
            if not (is_timed and for_task) and not all(future.done() for future in futures):
                waiting |= calls
        if any(one.is_held for one in parked):
            waiting |= self._unbegun
        return any(call not in waiting for call in list(self._open))

    # -- the rest

    def rest(self, chosen: Parked, said: Iterable[Parked]) -> bool:
        """The run is suspended for `chosen` and those beside it: stay in memory, if nothing stands against it.

        What does: other branches went on meanwhile, a child run is open, the code counts its time (timeouts begin anew
        with each epoch) or holds what ends with the epoch.
        """
        with self._lock:
            self.is_resting = True  # first, so that whoever begins a call now sees it or is seen
            root = chosen.session
            can = (
                root.caller is None
                and not self._pins
                and not self._is_under_way()
                and {chosen, *said}.issuperset(self.parked)
                and all(one.session is root and one.frame.deadline is None for one in self.parked)
                and all(call.session is root for call in list(self._open))
            )
            self.is_resting = self._is_kept = can
            if can:
                chosen.is_chosen = False
            return can

    def go_on(self, prepare: Callable[[], None], is_over: Callable[[Parked], bool]) -> bool:
        """The run is claimed again. False when its code is being unwound. prepare: done before anything goes on."""
        with self._lock:
            if not self._is_kept:
                return False
            prepare()
            self.is_resting = self._is_kept = False
            parked = list(self.parked)
            for one in parked:
                one.is_over = is_over(one)
                one.is_settling = not one.is_over
            self.parked = [one for one in parked if not one.is_over]
        for one in parked:
            one.wake()
        return True

    def end_rest(self) -> bool:
        """Whether it rested: its code is to be unwound, nothing can make it go on any more."""
        with self._lock:
            was, self._is_kept = self._is_kept, False
            return was


def around(frame: "Frame | None") -> Iterator[Open]:
    """What the code in `frame` is inside of, and what waits for it: calls, through child runs up to the outermost flow's
    code. Whoever has submitted a call goes on beside it.
    """
    while frame is not None:
        call = frame.call
        if call is None:
            yield frame.session.code
            frame = frame.session.caller
        else:
            yield call
            frame = None if call.is_submitted else call.frame


def inside(call: "Call") -> Iterator[Open]:
    """The call, and what waits for it."""
    yield call
    if not call.is_submitted:
        yield from around(call.frame)


def _depth(frame: "Frame") -> int:
    """How many runs are around it."""
    depth, caller = 0, frame.session.caller
    while caller is not None:
        depth, caller = depth + 1, caller.session.caller
    return depth
