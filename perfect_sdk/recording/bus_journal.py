"""`BusJournal`: a run's facts on NATS.

Emitted events go to the outbox and are never waited for. Committed ones carry the guard: they hold only while the
run's own subject has not moved on from what this claim knows. Refused means that the run's life moved on: what came is
read and obeyed (`RunSupersededError`, `RunCancelledError`), or the event is sent again behind it.

An outage of NATS fails nothing: a commit waits until the server is back. What ends the wait is the end of the process,
which the supervisor brings about when the run has been given to somebody else.
"""

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING, Any

from perfect_bus.append import Guard, check_size, guard_headers
from perfect_bus.outbox import WRONG_LAST_SEQUENCE, Ack
from perfect_schemas import codec, subjects
from perfect_schemas import events as e
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event, StoredValue
from perfect_schemas.errors import BusUnavailable, Failed
from perfect_schemas.folds.history import History
from perfect_sdk.caching.cache_bucket import get_entry, put_entry
from perfect_sdk.caching.cache_entry import CacheEntry
from perfect_sdk.connecting.following import first
from perfect_sdk.connecting.io import IO
from perfect_sdk.connecting.system import System
from perfect_sdk.recording.journal import RunCancelledError, RunSupersededError
from perfect_sdk.recording.lane import Lane
from perfect_sdk.recording.objects import get_object, put_object
from perfect_sdk.recording.shipping import LogShipper

if TYPE_CHECKING:
    from concurrent.futures import Future

    from perfect_sdk.remote.dispatcher import Dispatcher
    from perfect_sdk.running.session import RunContext, RunSession

_RUN_EVENTS = frozenset(e.RunEvent.__args__)
_ENDS = frozenset({e.RunCompleted, e.RunFailed, e.RunCancelled, e.RunSuspended, e.RunRetrying})
_ILLEGAL_WHEN_CANCELLING = _ENDS - {e.RunCancelled}
_making = threading.Lock()
_HARMLESS = frozenset({e.PerformanceWarned, UnknownEvent})


class BusJournal(System):
    """The journal of a run from one claim on. Thread-safe; see `journal.Journal` for the contract.

    claim_seq: sequence of the `run.started` (or whatever is the run's last event, 0 for a run that does not exist
    yet) that the first guarded append expects.
    """

    is_recorded = True

    def __init__(self, io: IO, *, run_id: str, epoch: int, claim_seq: int, source: str) -> None:
        self.run_id = run_id
        self.epoch = epoch
        self.is_pausing = False
        super().__init__(io)
        self._source = source
        self._run_subject = subjects.run(run_id)
        self._task_subject = subjects.task(run_id)
        self._cancelling = False
        self._superseded = False
        self._cancelled = False  # by the engine, while the run waited
        self._set_guard(claim_seq)
        self._children: weakref.WeakSet[BusJournal] = weakref.WeakSet()
        self._lane = Lane(io)
        self._shipper = LogShipper(io, run_id=run_id, epoch=epoch, source=source)
        self._stored_seq = claim_seq  # the latest that is known to stand on the stream
        self._dispatcher: Dispatcher | None = None

    @property
    def dispatcher(self) -> "Dispatcher | None":
        with _making:
            if self._dispatcher is None:
                from perfect_sdk.remote.dispatcher import Dispatcher

                self._dispatcher = Dispatcher(self._io, self.run_id, lambda: self._stored_seq)
            return self._dispatcher

    def _set_guard(self, seq: int) -> None:
        self.guard_seq = seq
        guard = Guard(self._run_subject, seq)
        self._run_headers = guard_headers(self._run_subject, guard)
        self._task_headers = guard_headers(self._task_subject, guard)

    def reclaim(self, epoch: int, claim_seq: int) -> None:
        """The run that was suspended here is claimed again, for the same code."""
        self.epoch = epoch
        self._set_guard(claim_seq)
        self._stored_seq = claim_seq
        self._shipper.epoch = epoch

    # -- facts

    def emit(self, event: Event) -> None:
        if self._superseded:
            raise RunSupersededError(self.run_id)
        data = codec.encode(event)
        check_size(self._task_subject, data)
        self._lane.emit(self._task_subject, data, event.id)

    def commit(self, event: Event) -> None:
        if self._cancelled and type(event) is e.RunCancelled:
            return
        if type(event) in _ENDS and self._shipper.is_busy:
            self._io.call(self._shipper.settle)  # whoever sees the end sees every line
        data, on_run = self._begin(event)
        ack = self._lane.commit(
            self._run_subject if on_run else self._task_subject,
            data,
            event.id,
            self._run_headers if on_run else self._task_headers,
        )
        if isinstance(ack, Ack) and ack.error is None:
            self._stored(ack.seq, on_run)
        else:
            self._io.call(self._settle, event, data, on_run, ack)

    async def commit_async(self, event: Event) -> None:
        if self._cancelled and type(event) is e.RunCancelled:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Ack | BusUnavailable] = loop.create_future()

        def done(ack: Ack | BusUnavailable) -> None:
            loop.call_soon_threadsafe(_resolve, future, ack)

        await self._io.room()
        if type(event) in _ENDS and self._shipper.is_busy:
            await self._io.call_async(self._shipper.settle)
        data, on_run = self._begin(event)
        self._lane.commit_soon(
            self._run_subject if on_run else self._task_subject,
            data,
            event.id,
            self._run_headers if on_run else self._task_headers,
            done,
        )
        ack = await future
        if isinstance(ack, Ack) and ack.error is None:
            self._stored(ack.seq, on_run)
        else:
            await self._io.call_async(self._settle, event, data, on_run, ack)

    def _begin(self, event: Event) -> tuple[bytes, bool]:
        """The encoded event, and whether it belongs to the run's own subject."""
        kind = type(event)
        if self._superseded:
            raise RunSupersededError(self.run_id)
        if self._cancelling and kind in _ILLEGAL_WHEN_CANCELLING:
            raise RunCancelledError(self.run_id)
        on_run = kind in _RUN_EVENTS
        data = codec.encode(event)
        check_size(self._run_subject if on_run else self._task_subject, data)
        return data, on_run

    def _stored(self, seq: int, on_run: bool) -> None:
        self._stored_seq = seq
        if on_run:
            self._set_guard(seq)

    async def _settle(self, event: Event, data: bytes, on_run: bool, ack: Ack | BusUnavailable) -> None:
        """On the I/O loop: what to do about an append that was not simply stored.

        What was done before a cancellation is stored behind it, so that a later retry need not do it again; only
        then does the caller hear of the cancellation.
        """
        outbox = self._io.bus.outbox
        subject = self._run_subject if on_run else self._task_subject
        cancelled = False
        while True:
            if isinstance(ack, BusUnavailable):
                raise ack
            if ack.error is None:
                self._stored(ack.seq, on_run)
                break
            if ack.error.err_code != WRONG_LAST_SEQUENCE:
                raise Failed(f"{subject} refused {event.type}: {ack.error.description}")
            own = await self._obey(event, subject)
            if own is not None:
                self._stored(own, on_run)
                break
            cancelled = self._cancelling
            if cancelled and type(event) in _ILLEGAL_WHEN_CANCELLING:
                raise RunCancelledError(self.run_id)
            answer: asyncio.Future[Ack | BusUnavailable] = asyncio.get_running_loop().create_future()
            outbox.put(
                subject,
                data,
                event.id,
                headers=self._run_headers if on_run else self._task_headers,
                done=lambda again, answer=answer: _resolve(answer, again),
            )
            ack = await answer
        if cancelled and not on_run:
            raise RunCancelledError(self.run_id)

    async def _obey(self, event: Event, subject: str) -> int | None:
        """Read what came on the run's subject. Returns the sequence of `event` when it was stored after all.

        Raises RunSupersededError; notes a cancellation and the new guard.
        """
        guard_seq = self.guard_seq
        since = await self._read(self._run_subject, guard_seq)
        stored = since if subject == self._run_subject else await self._read(subject, guard_seq)
        own = next((seq for seq, other in stored if other.id == event.id), None)
        last = guard_seq
        for seq, other in since:
            kind = type(other)
            if other.id == event.id:
                pass
            elif kind is e.RunCancelling:
                self._cancelling = True
            elif kind is e.RunPausing:
                self.is_pausing = True
            elif kind not in _HARMLESS and not (kind is e.RunQueued and type(event) is e.RunStarted):
                if own is not None and seq > own:
                    break  # it was stored in time; the next append hears of what came later
                self.abandon()
                raise RunSupersededError(self.run_id)
            last = seq
        if last >= self.guard_seq:
            self._set_guard(last)
        return own

    async def _read(self, subject: str, after: int) -> list[tuple[int, Event | UnknownEvent]]:
        while True:
            try:
                return await self._io.bus.read(subject, after=after)
            except BusUnavailable:
                if self._io.bus.nc.is_closed:
                    raise

    def abandon(self) -> None:
        """The run belongs to somebody else now: everything said from now on raises RunSupersededError."""
        self._superseded = True
        self._shipper.stop()
        for child in list(self._children):
            child.abandon()

    # -- everything else

    def log(self, line: e.LogLine) -> None:
        if not self._superseded:
            self._shipper.line(line)

    def live(self, payload: dict[str, Any]) -> None:
        if not self._superseded:
            self._shipper.live(payload)

    def store(self, name: str, data: bytes) -> str:
        ref = name if name.startswith(self.run_id) else f"{self.run_id}/{name}"
        self._io.call(put_object, self._io.bus, ref, data)
        return ref

    def load(self, stored: StoredValue) -> bytes:
        if stored.ref is None:
            return bytes(stored.value)
        return self._io.call(get_object, self._io.bus, stored.ref)

    def recall(self, digest: str) -> CacheEntry | None:
        return self._io.call(get_entry, self._io.bus, digest)

    def remember(self, digest: str, entry: CacheEntry) -> None:
        self._io.call(put_entry, self._io.bus, digest, entry)

    def steers(self, session: "RunSession") -> None:
        """The supervisor is told, and passes it on."""

    # -- waits

    def until_resumed(self) -> "Future[e.RunResumed]":
        return self._io.submit(self._until_resumed)

    async def _until_resumed(self) -> e.RunResumed:
        """On the I/O loop. What else can become of a run that waits: it is cancelled, or ended by the engine."""

        def judge(event: Event | UnknownEvent, _: int) -> e.RunResumed | None:
            kind = type(event)
            if kind is e.RunResumed or kind in _HARMLESS:
                return event if kind is e.RunResumed else None  # type: ignore[return-value]
            if kind is e.RunCancelled:
                self._cancelled = True
                raise RunCancelledError(self.run_id)
            self.abandon()
            raise RunSupersededError(f"{event.type} came while run {self.run_id} waited for its input")

        seq, event = await first(self._io.bus, self._run_subject, self.guard_seq, judge)
        self._set_guard(seq)
        return event

    # -- child runs

    def child(self, run: "RunContext") -> "BusJournal":
        child = type(self)(
            self._io, run_id=run.run_id, epoch=run.epoch, claim_seq=run.claim_seq, source=run.source
        )
        if self._superseded:
            child.abandon()
        self._children.add(child)
        return child

    def history(self) -> History:
        history, last_seq = self._io.call(self._read_history)
        self._set_guard(last_seq)
        return history

    async def _read_history(self) -> tuple[History, int]:
        """The fold, and the sequence of the last message on the run's own subject."""
        on_run = await self._read(self._run_subject, 0)
        history = History()
        for seq, event in sorted(
            [*on_run, *await self._read(self._task_subject, 0)], key=lambda pair: pair[0]
        ):
            if not isinstance(event, UnknownEvent):
                history.apply(event, seq)
        return history, on_run[-1][0] if on_run else 0

    def flush(self) -> None:
        """Hand every line that waits for its batch to the outbox."""
        self._shipper.flush()


def _resolve(future: "asyncio.Future[Ack | BusUnavailable]", ack: Ack | BusUnavailable) -> None:
    if not future.done():
        future.set_result(ack)
