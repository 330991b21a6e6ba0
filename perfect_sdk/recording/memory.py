"""`MemoryJournal`: a run's facts in a list. For plain calls, tests, and flows tried without a system.

Holds to the same rules as the bus: a run event is refused when the run's life does not allow it, and once a run is
being cancelled nothing but its cancellation ends it.
"""

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import Event, StoredValue
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_schemas.events import LogLine, RunCancelled, RunCancelling, RunEvent
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds.history import History
from perfect_schemas.states import RunState
from perfect_sdk.recording.journal import RunCancelledError, RunSupersededError

if TYPE_CHECKING:
    from perfect_schemas.commands import Reply
    from perfect_schemas.events import RunResumed
    from perfect_sdk.caching.cache_entry import CacheEntry
    from perfect_sdk.running.session import RunContext, RunSession

_RUN_EVENTS = frozenset(RunEvent.__args__)


class Shared:
    """What a run and its child runs have in common: one stream, one store. keep: whether events are kept at all."""

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.seq = 0
        self.events: list[tuple[int, Event]] = []
        self.lines: list[LogLine] = []
        self.live: list[dict[str, Any]] = []
        self.objects: dict[str, bytes] = {}
        self.lock = threading.RLock()


class MemoryJournal:
    """run_id: of the run it belongs to. events: earlier ones, as a resumed run finds them."""

    is_recorded = False
    is_pausing = False
    dispatcher = None

    def __init__(
        self,
        run_id: str,
        events: Iterable[Event] = (),
        *,
        keep: bool = True,
        shared: Shared | None = None,
    ) -> None:
        self.run_id = run_id
        self.shared = shared or Shared(keep=keep)
        self._run: run_fold.RunLife | None = None
        if shared is not None:
            self._run = self.history().run
        for event in events:
            self._append(event)

    # -- what is in it

    @property
    def events(self) -> list[Event]:
        """Of the run and its child runs, in the order in which they were stored."""
        return [event for _, event in self.shared.events]

    @property
    def logs(self) -> list[LogLine]:
        return self.shared.lines

    # -- Journal

    def emit(self, event: Event) -> None:
        with self.shared.lock:
            self._append(event)

    def commit(self, event: Event) -> None:
        with self.shared.lock:
            cancelling = self._run is not None and self._run.state is RunState.CANCELLING
            if type(event) in _RUN_EVENTS:
                if cancelling and type(event) is RunCancelling:
                    return
                if cancelling and type(event) is not RunCancelled:
                    raise RunCancelledError(self.run_id)
                if self._run is not None and not run_fold.is_legal(self._run, type(event)):
                    raise RunSupersededError(f"{event.type} is illegal in {self._run.state}")
            elif self._run is not None and self._run.state.is_final:
                raise RunSupersededError(f"run {self.run_id} has ended")
            self._append(event)
            if cancelling and type(event) not in _RUN_EVENTS:
                raise RunCancelledError(self.run_id)

    async def commit_async(self, event: Event) -> None:
        self.commit(event)

    def log(self, line: LogLine) -> None:
        if self.shared.keep:
            self.shared.lines.append(line)

    def live(self, payload: dict[str, Any]) -> None:
        if self.shared.keep:
            self.shared.live.append(payload)

    def store(self, name: str, data: bytes) -> str:
        self.shared.objects[name] = data
        return name

    def load(self, stored: StoredValue) -> bytes:
        if stored.ref is None:
            return bytes(stored.value)
        try:
            return self.shared.objects[stored.ref]
        except KeyError:
            raise NotFound(f"the stored result {stored.ref} is not in this journal") from None

    def recall(self, digest: str) -> "CacheEntry | None":
        from perfect_sdk.caching.cache_entry import of_process

        found = of_process.get(digest)
        if found is None:
            return None
        entry, data = found
        if data is not None and entry.result.ref is not None:
            self.shared.objects[entry.result.ref] = data
        return entry

    def remember(self, digest: str, entry: "CacheEntry") -> None:
        from perfect_sdk.caching.cache_entry import of_process

        of_process.put(digest, entry, self.load(entry.result) if entry.result.ref is not None else None)

    def steers(self, session: "RunSession") -> None:
        """Nobody knows of the run."""

    def child(self, run: "RunContext") -> "MemoryJournal":
        return type(self)(run.run_id, shared=self.shared)

    def history(self) -> History:
        history = History()
        with self.shared.lock:
            for seq, event in self.shared.events:
                if event.run_id == self.run_id:
                    history.apply(event, seq)
        return history

    def ask(
        self,
        subject: str,
        request: Any,  # noqa: ARG002
        *,
        timeout_s: float = 10.0,  # noqa: ARG002
        try_s: float = 2.0,  # noqa: ARG002
    ) -> "Future[Reply]":
        return _failed(
            ServiceUnavailable(f"this run is not part of a running system: nobody answers {subject}")
        )

    def after(self, seconds: float) -> "Future[None]":
        future: Future[None] = Future()
        threading.Timer(seconds, future.set_result, [None]).start()
        return future

    def life(self, run_id: str) -> "Future[run_fold.RunLife | None]":
        life: run_fold.RunLife | None = None
        with self.shared.lock:
            for seq, event in self.shared.events:
                if event.run_id == run_id and type(event) in _RUN_EVENTS:
                    life = run_fold.evolve(life, event, seq)
        found: Future[run_fold.RunLife | None] = Future()
        found.set_result(life)
        return found

    def until_final(self, run_id: str) -> "Future[run_fold.RunLife]":
        return _failed(ServiceUnavailable(f"this run is not part of a running system: nobody runs {run_id}"))

    def until_resumed(self) -> "Future[RunResumed]":
        return _failed(ServiceUnavailable("this run is not part of a running system: nobody can resume it"))

    def _append(self, event: Event) -> None:
        shared = self.shared
        shared.seq += 1
        if shared.keep:
            shared.events.append((shared.seq, event))
        if type(event) in _RUN_EVENTS and event.run_id == self.run_id:
            self._run = run_fold.evolve(self._run, event, shared.seq)
            self.is_pausing = self._run is not None and run_fold.is_pausing(self._run)


def _failed(error: Exception) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
