"""Hand-overs: long pulls on the durable consumer of each flow and queue, only while there is room for a run.

All workers of a flow and queue share its consumer. A pull is open for 20 s and asked again when it ends, when the
connection comes back, and when a slot becomes free. What arrives without room is given back at once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js import api

from perfect_bus.bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import HandOver, TaskHandOver

STREAM = "WORK"
ACK_WAIT_S = 5.0
PULL_S = 20.0
MARGIN_S = 3.0  # a pull of which nothing was heard for so much longer is taken for lost
RETRY_S = 0.5


class _Source:
    """One consumer. token: of the open pull, 0 for none."""

    __slots__ = ("consumer", "subject", "timer", "token")

    def __init__(self, subject: str, consumer: str) -> None:
        self.subject = subject
        self.consumer = consumer
        self.token = 0
        self.timer: asyncio.TimerHandle | None = None


class Intake:
    """`free()`: how many more there is room for. `take(hand_over, msg)`: gets each one; acknowledges it itself.

    kind: HandOver for runs, TaskHandOver for distributed tasks, which come by consumers of their own.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        free: Callable[[], int],
        take: Callable[[Any, Msg], None],
        say: Callable[[str], None],
        kind: type[HandOver | TaskHandOver] = HandOver,
    ) -> None:
        self._bus = bus
        self._free = free
        self._take = take
        self._say = say
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode
        self._inbox = bus.nc.new_inbox()
        self._sources: dict[str, _Source] = {}
        self._tokens = 0
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._bus.nc.listen(f"{self._inbox}.*", self._heard)
        self._bus.reconnected.append(self._reconnected)

    async def serve(self, queue: str, flow_id: str) -> None:
        """Take the hand-overs of this flow and queue from now on. Waits until its consumer exists."""
        if self._kind is HandOver:
            subject, consumer = subjects.work(queue, flow_id), subjects.work_consumer(queue, flow_id)
        else:
            subject, consumer = (
                subjects.task_work(queue, flow_id),
                subjects.task_work_consumer(queue, flow_id),
            )
        source = _Source(subject, consumer)
        await self._ensure(source)
        self._sources[subject] = source
        self.pull()

    def stop(self) -> None:
        """Ask for nothing more; what still arrives is given back."""
        self._stopped = True
        for source in self._sources.values():
            self._closed(source)

    async def close(self) -> None:
        """`stop`, and leave the connection as it was. The server gives back by itself what is still on its way."""
        self.stop()
        if self._reconnected in self._bus.reconnected:
            self._bus.reconnected.remove(self._reconnected)
        for task in list(self._tasks):
            task.cancel()
        if self._subscription is not None:
            with contextlib.suppress(NatsError):
                await self._subscription.unsubscribe()
            self._subscription = None

    def pull(self) -> None:
        """Open a pull wherever none is open, if there is room. Call it when a slot has become free."""
        if self._stopped or self._free() <= 0 or not self._bus.nc.is_connected:
            return
        for source in self._sources.values():
            if not source.token:
                self._tokens += 1
                source.token = self._tokens
                self._spawn(self._ask(source, source.token))

    async def _ask(self, source: _Source, token: int) -> None:
        request = b'{"batch":1,"expires":%d}' % int(PULL_S * 1e9)
        try:
            await self._bus.nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{source.consumer}", request, f"{self._inbox}.{token}"
            )
        except NatsError:
            self._closed(source)  # the reconnection asks again
            return
        if source.token == token:
            source.timer = asyncio.get_running_loop().call_later(PULL_S + MARGIN_S, self._again, source)

    def _heard(self, msg: Msg) -> None:
        source = self._sources.get(msg.subject)
        if source is None:
            self._ended(msg)
            return
        self._closed(source)
        if self._stopped or self._free() <= 0:
            self._spawn(self._answer(msg, b"-NAK"))
            return
        try:
            hand_over = self._decode(msg.data)
        except msgspec.DecodeError as error:
            self._say(f"a hand-over on {msg.subject} cannot be read and is dropped: {error}")
            self._spawn(self._answer(msg, b"+TERM"))
        else:
            self._take(hand_over, msg)
        self.pull()

    async def _answer(self, msg: Msg, data: bytes) -> None:
        with contextlib.suppress(NatsError):  # else it is delivered again
            await self._bus.nc.publish(msg.reply, data)

    def _ended(self, msg: Msg) -> None:
        """The pull's own answer: its time is over, or the consumer is not there (any more)."""
        token = int(msg.subject.rpartition(".")[2])
        source = next((one for one in self._sources.values() if one.token == token), None)
        if source is None:
            return
        self._closed(source)
        status = (msg.headers or {}).get("Status", "503")
        if status == "408":
            self.pull()
        else:
            self._spawn(self._restore(source))

    async def _restore(self, source: _Source) -> None:
        source.token = -1  # no pull meanwhile
        await asyncio.sleep(RETRY_S)
        await self._ensure(source)
        source.token = 0
        self.pull()

    async def _ensure(self, source: _Source) -> None:
        said = False
        while not self._stopped:
            try:
                await self._bus.js.add_consumer(
                    STREAM,
                    api.ConsumerConfig(
                        durable_name=source.consumer,
                        filter_subject=source.subject,
                        ack_policy=api.AckPolicy.EXPLICIT,
                        ack_wait=ACK_WAIT_S,
                        max_deliver=-1,
                        max_ack_pending=10_000,
                    ),
                )
            except (NatsError, TimeoutError) as error:
                if not said:
                    said = True
                    self._say(f"no work can be taken yet from {source.subject}, trying again: {error}")
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _closed(self, source: _Source) -> None:
        source.token = 0
        if source.timer is not None:
            source.timer.cancel()
            source.timer = None

    def _again(self, source: _Source) -> None:
        self._closed(source)
        self.pull()

    def _reconnected(self) -> None:
        for source in self._sources.values():
            if source.token > 0:
                self._closed(source)
        self.pull()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
