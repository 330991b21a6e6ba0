"""Following a stream: every message after a sequence, once, in order, for as long as it is wanted.

An unacknowledged push consumer with flow control, like nats-py's ordered consumer, which is not used because it
starts again at the stream's first message when the server restarts before anything was delivered, stays silent for
seconds after a restart, and wakes four times a second. This one is made anew at once when the connection is back,
when a message is missing, and when the server's heartbeat stays away.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import api

if TYPE_CHECKING:
    from perfect_bus.bus import Bus

HEARTBEAT_S = 5.0  # each wakes the server and whoever follows, also when nothing happens
SILENCE_S = 12.0
AGAIN_S = 0.1
START_S = 15.0

Callback = Callable[[Msg, int], Awaitable[None]]


class Following:
    """Made by `Bus.follow`. `last`: the sequence of the last message that the callback was given."""

    def __init__(self, bus: "Bus", stream: str, callback: Callback, *, after: int, subject: str) -> None:
        self.last = after
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._callback = callback
        self._generation = 0
        self._expected = 1
        self._heard = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._subscription: Subscription | None = None
        self._making: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._ended = False

    async def start(self) -> None:
        """Raises what creating the consumer raises (tried again for START_S while the server is away); from then on
        it is made anew by itself.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_S
        while True:
            try:
                await self._make()
                break
            except (NatsTimeout, NoRespondersError):
                if self._bus.nc.is_closed or loop.time() > deadline:
                    raise
        self._bus.reconnected.append(self._again)
        self._check()

    async def unsubscribe(self) -> None:
        """End it. The callback is not called any more, except for a call that is under way."""
        self._ended = True
        self._generation += 1
        if self._again in self._bus.reconnected:
            self._bus.reconnected.remove(self._again)
        if self._watch is not None:
            self._watch.cancel()
        if self._making is not None:
            self._making.cancel()
            await asyncio.gather(self._making, return_exceptions=True)
        await self._drop()

    async def _make(self) -> None:
        """A new inbox and a new consumer, from the message after the last one on."""
        self._generation += 1
        generation = self._generation
        await self._drop()
        self._expected = 1
        self._heard = asyncio.get_running_loop().time()

        async def each(msg: Msg) -> None:
            async with self._one_at_a_time:
                if generation == self._generation:
                    await self._each(msg)

        inbox = self._bus.nc.new_inbox()
        self._subscription = await self._bus.nc.subscribe(
            inbox, cb=each, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        await self._bus.js.add_consumer(
            self._stream,
            api.ConsumerConfig(
                deliver_subject=inbox,
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=self.last + 1,
                filter_subject=self._subject,
                ack_policy=api.AckPolicy.NONE,
                max_deliver=1,
                flow_control=True,
                idle_heartbeat=HEARTBEAT_S,
                mem_storage=True,
                num_replicas=1,
            ),
        )

    async def _drop(self) -> None:
        if self._subscription is not None:
            with contextlib.suppress(Exception):  # the connection may be closed or away
                await self._subscription.unsubscribe()
            self._subscription = None

    async def _each(self, msg: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        if not msg.data and (headers := msg.headers) and "Status" in headers:
            await self._control(msg, headers)
            return
        tokens = msg.reply.split(".")  # … stream sequence, consumer sequence, time, pending
        seq, n = int(tokens[-4]), int(tokens[-3])
        if n != self._expected:
            self._again()
            return
        self._expected = n + 1
        self.last = seq
        try:
            await self._callback(msg, seq)
        except Exception as error:
            self._bus.report(f"following {self._stream}: {type(error).__name__}: {error}")

    async def _control(self, msg: Msg, headers: dict[str, str]) -> None:
        """A heartbeat, or the request to say that everything before it was worked off."""
        reply = msg.reply or headers.get("Nats-Consumer-Stalled")
        if reply:
            await self._bus.nc.publish(reply)
        elif int(headers.get("Nats-Last-Consumer") or 0) != self._expected - 1:
            self._again()

    def _again(self) -> None:
        """What is being made for an older connection would only time out: give it up."""
        if self._ended:
            return
        if self._making is not None:
            self._making.cancel()
        self._generation += 1  # deaf to the old one from now on
        self._making = asyncio.create_task(self._make_again(), name=f"follow {self._stream}")

    async def _make_again(self) -> None:
        while True:
            try:
                await self._make()
            except Exception as error:
                if self._bus.nc.is_closed:
                    return
                self._bus.report(f"following {self._stream} again: {type(error).__name__}: {error}")
                await asyncio.sleep(AGAIN_S)
            else:
                return

    def _check(self) -> None:
        """A consumer can end without the connection: its server, its leader, its stream."""
        loop = asyncio.get_running_loop()
        is_making = self._making is not None and not self._making.done()
        is_busy = self._one_at_a_time.locked()
        if (
            self._bus.nc.is_connected
            and not is_making
            and not is_busy
            and loop.time() - self._heard > SILENCE_S
        ):
            self._again()
        if not self._bus.nc.is_closed:
            self._watch = loop.call_later(SILENCE_S / 2, self._check)
