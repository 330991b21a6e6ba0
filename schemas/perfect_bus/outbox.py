"""The outbox: publishes to JetStream without a Future per round trip, and forgets nothing that is unacknowledged.

nats-py's `publish_async` futures stay pending for ever once the server restarts. Here each message is kept with its
id until its acknowledgement came, and sent again after a reconnection or a time-out; the id makes that harmless.
One inbox serves all acknowledgements. Bounds: 10,000 messages or 16 MB waiting, 512 of them unacknowledged.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from perfect_bus.client import Client
from perfect_schemas.errors import BusUnavailable

WINDOW = 512
MAX_MESSAGES = 10_000
MAX_BYTES = 16 * 1024 * 1024
RESEND_AFTER_S = 2.0
RETRY_S = 0.1
DEADLINE_S = 30.0


class _AckError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class Ack(msgspec.Struct):
    """What the stream answered. seq is 0 and `error` set when it refused."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _AckError | None = None


decode_ack = msgspec.json.Decoder(Ack).decode

WRONG_LAST_SEQUENCE = 10071
WRONG_LAST_ID = 10070
CONCURRENT_BATCH = 10164
MAX_BYTES_REACHED = 10077  # discard: new: the stream is full
AGAIN = frozenset({CONCURRENT_BATCH, MAX_BYTES_REACHED})


class _Entry:
    __slots__ = ("data", "deadline", "done", "headers", "not_before", "sent_at", "subject")

    def __init__(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str],
        done: Callable[[Ack | BusUnavailable], None] | None,
        deadline: float | None,
    ) -> None:
        self.subject = subject
        self.data = data
        self.headers = headers
        self.done = done
        self.deadline = deadline
        self.sent_at = 0.0
        self.not_before = 0.0


class Outbox:
    """Belongs to one event loop; every method is called on it. See `Bus` for the connection's life.

    `on_error(subject, error)` hears of refused messages that nobody waits for: they are counted in `refused`.
    """

    def __init__(
        self, nc: Client, *, window: int = WINDOW, on_error: Callable[[str, str], None] | None = None
    ) -> None:
        self._nc = nc
        self._window = window
        self._on_error = on_error
        self._waiting: deque[_Entry] = deque()
        self._flying: dict[int, _Entry] = {}
        self._next_token = 0
        self._bytes = 0
        self._inbox = nc.new_inbox()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._room = asyncio.Event()
        self._room.set()
        self._reconnects = nc.stats["reconnects"]
        self._resending = False
        self.refused = 0
        self.resent = 0

    async def start(self) -> None:
        await self._nc.listen(self._inbox + ".*", self._on_ack)
        self._task = asyncio.create_task(self._run(), name="outbox")

    async def stop(self, flush_s: float = 5.0) -> int:
        """Send what is left within `flush_s` seconds. Returns how many messages were left unacknowledged."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), flush_s)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._timer is not None:
            self._timer.cancel()
        left = self.pending
        for entry in [*self._flying.values(), *self._waiting]:
            self._finish(entry, BusUnavailable("the connection was closed before the stream had answered"))
        self._flying.clear()
        self._waiting.clear()
        return left

    @property
    def pending(self) -> int:
        return len(self._waiting) + len(self._flying)

    @property
    def is_full(self) -> bool:
        return self.pending >= MAX_MESSAGES or self._bytes >= MAX_BYTES

    async def room(self) -> None:
        """Wait until the outbox is not full."""
        while self.is_full:
            self._room.clear()
            await self._room.wait()

    async def flush(self) -> None:
        """Wait until everything put in so far (and since) is acknowledged."""
        await self._idle.wait()

    def put(
        self,
        subject: str,
        data: bytes,
        msg_id: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        done: Callable[[Ack | BusUnavailable], None] | None = None,
        deadline_s: float | None = None,
    ) -> None:
        """Queue one message; `done` hears of its acknowledgement. Without a deadline it is tried for ever."""
        headers = dict(headers) if headers else {}
        if msg_id is not None:
            headers["Nats-Msg-Id"] = msg_id
        deadline = time.monotonic() + deadline_s if deadline_s is not None else None
        entry = _Entry(subject, data, headers, done, deadline)
        self._bytes += len(data)
        self._idle.clear()
        self._waiting.append(entry)
        self._wake.set()

    async def send(
        self,
        subject: str,
        data: bytes,
        msg_id: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> Ack:
        """Put one message and wait for its acknowledgement. Raises BusUnavailable at the deadline."""
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()

        def done(answer: Ack | BusUnavailable) -> None:
            if future.done():
                return
            if isinstance(answer, Ack):
                future.set_result(answer)
            else:
                future.set_exception(answer)

        self.put(subject, data, msg_id, headers=headers, done=done, deadline_s=deadline_s)
        await self.hurry()
        return await future

    async def hurry(self) -> None:
        """Send what was put at once, without a turn of the loop; the runner watches over the answers. Not ahead of what an
        older connection may have lost: that is sent again first, or two events of one run could change places.
        """
        if self._is_same_connection and not self._resending:
            with contextlib.suppress(NatsError):
                await self._send_waiting()

    def reconnected(self) -> None:
        """Everything in flight may have been lost with the old connection: send it again, in order."""
        self._wake.set()

    @property
    def _is_same_connection(self) -> bool:
        """Whether the one is up on which everything in flight was sent. Asked before every message: after a loss, what
        is in flight is sent again first.
        """
        return self._nc.is_connected and self._nc.stats["reconnects"] == self._reconnects

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._nc.is_connected:
                try:
                    await self._resend_overdue()
                    await self._send_waiting()
                except NatsError:
                    pass  # disconnected meanwhile: the reconnection wakes us
            self._expire()
            if self.pending and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(RETRY_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wake.set()

    async def _send_waiting(self) -> None:
        while self._waiting and len(self._flying) < self._window and self._is_same_connection:
            entry = self._waiting.popleft()
            self._next_token += 1
            self._flying[self._next_token] = entry
            await self._publish(self._next_token, entry)

    async def _resend_overdue(self) -> None:
        if self._nc.stats["reconnects"] != self._reconnects:
            self._reconnects = self._nc.stats["reconnects"]
            for entry in self._flying.values():
                entry.sent_at = entry.not_before = 0.0
        now = time.monotonic()
        self._resending = True
        try:
            for token, entry in list(self._flying.items()):
                if not self._is_same_connection:
                    return
                if (
                    entry.sent_at + RESEND_AFTER_S <= now
                    and entry.not_before <= now
                    and token in self._flying
                ):
                    self.resent += 1
                    await self._publish(token, entry)
        finally:
            self._resending = False

    async def _publish(self, token: int, entry: _Entry) -> None:
        entry.sent_at = time.monotonic()
        try:
            await self._nc.publish(entry.subject, entry.data, f"{self._inbox}.{token}", entry.headers or None)
        except MaxPayloadError:  # it would be refused for ever, and hold up everything behind it
            self._refuse(token, entry, _AckError(code=413, description="larger than a message may be"))

    def _on_ack(self, msg: Msg) -> None:
        token = int(msg.subject.rpartition(".")[2])
        entry = self._flying.get(token)
        if entry is None:
            return
        if not msg.data:  # 503, nobody listens: the stream is not there or has no leader just now
            self._try_again(entry)
            return
        ack = decode_ack(msg.data)
        if ack.error is not None and (ack.error.err_code in AGAIN or ack.error.code == 503):
            self._try_again(entry)
            return
        if ack.error is not None:
            self._refuse(token, entry, ack.error)
        else:
            del self._flying[token]
            self._finish(entry, ack)
        if self._waiting:
            self._wake.set()

    def _refuse(self, token: int, entry: _Entry, error: _AckError) -> None:
        del self._flying[token]
        if entry.done is None:
            self.refused += 1
            if self._on_error is not None:
                self._on_error(entry.subject, error.description)
        self._finish(entry, Ack(error=error))

    def _try_again(self, entry: _Entry) -> None:
        entry.sent_at = 0.0
        entry.not_before = time.monotonic() + RETRY_S

    def _expire(self) -> None:
        now = time.monotonic()
        overdue = [token for token, entry in self._flying.items() if entry.deadline and entry.deadline < now]
        for token in overdue:
            self._finish(self._flying.pop(token), _unanswered())
        late = [entry for entry in self._waiting if entry.deadline and entry.deadline < now]
        if late:
            self._waiting = deque(entry for entry in self._waiting if entry not in late)
        for entry in late:
            self._finish(entry, _unanswered())

    def _finish(self, entry: _Entry, answer: Ack | BusUnavailable) -> None:
        self._bytes -= len(entry.data)
        if not self._room.is_set() and not self.is_full:
            self._room.set()
        if not self._waiting and not self._flying:
            self._idle.set()
        if entry.done is not None:
            entry.done(answer)


def _unanswered() -> BusUnavailable:
    return BusUnavailable("NATS did not acknowledge the message in time; whether it was stored is unknown")
