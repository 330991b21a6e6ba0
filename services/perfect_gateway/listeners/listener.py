"""One listener: its presence, the work it takes, and the frames of its stream."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from perfect_bus import Bus, Conflict, Guard, append
from perfect_bus.cancelling import cancelled
from perfect_bus.claim import claim, start_epoch
from perfect_bus.intake import Intake
from perfect_bus.presence import keep, renew, withdraw
from perfect_gateway.listeners import report
from perfect_gateway.listeners.report import Told
from perfect_gateway.live.subscriber import Subscriber
from perfect_runtime.decider import Aggregate, read
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import HandOver, Presence
from perfect_schemas.envelope import Event, utc_now
from perfect_schemas.errors import BusUnavailable, PerfectError
from perfect_schemas.events import (
    ClientConnected,
    ClientDisconnected,
    RunCancelling,
    RunEvent,
    RunLost,
    RunStarted,
)
from perfect_schemas.states import RunState

PING = b"event: ping\ndata: 1\n\n"
QUEUE = "default"
GOODBYE_S = 2.0
AGAIN_S = 0.1
RUN_EVENTS = RunEvent.__args__


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """flows: ids. slots: runs at once. client_id, holding: the listener's earlier connection, and the runs (id → epoch)
    that it still executes from then.
    """

    flows: list[str]
    name: str
    slots: int = 1
    client_id: str | None = None
    holding: dict[str, int] = {}


class Held(msgspec.Struct):
    """A run being claimed (epoch 0; what is said of it meanwhile is kept) or claimed."""

    epoch: int = 0
    claim_seq: int = 0
    early: list[tuple[int, Event]] = msgspec.field(default_factory=list)


def frame(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), codec.encode(data))


class Listener:
    """`await open()`, read `frames()`, `await close()`. `hold(run_id)` and `release(run_id)` tell the roll for which
    runs `heard` is to be called.
    """

    def __init__(
        self,
        bus: Bus,
        wanted: Wanted,
        *,
        lease_s: float,
        presence_every_s: float,
        hold: Callable[[str, "Listener"], None],
        release: Callable[[str, "Listener"], None],
    ) -> None:
        self.client_id = ids.uuid7()
        self.wanted = wanted
        self.stream = Subscriber(ping=PING, overflow=None)
        self._bus = bus
        self._lease_s = lease_s
        self._every_s = presence_every_s
        self._hold = hold
        self._release = release
        self._held: dict[str, Held] = {}
        self._intake = Intake(bus, free=self._free, take=self._take, say=bus.report)
        self._keeper: asyncio.Task[None] | None = None
        self._claims: set[asyncio.Task[None]] = set()
        self._closing = False

    # -- life

    async def open(self) -> None:
        """Runs held from before first, then work, then presence: whoever sees this client can have its flows run."""
        await self._intake.start()
        resumed, revoked = await self._resume()
        self.stream.push(
            frame(
                "hello",
                {
                    "client_id": self.client_id,
                    "name": self.wanted.name,
                    "slots": self.wanted.slots,
                    "flows": self.wanted.flows,
                    "resumed": resumed,
                    "revoked": revoked,
                },
            )
        )
        self._keeper = asyncio.create_task(self._keep(), name=f"presence of {self.wanted.name}")
        await asyncio.gather(*(self._intake.serve(QUEUE, flow_id) for flow_id in self.wanted.flows))

    async def close(self) -> None:
        """The connection is gone. Holding nothing, it says good-bye. Otherwise it has one lease to come back and go on
        with what it holds; then the engine gives its runs to others, as it does by itself when this gateway dies.
        """
        self._closing = True
        self.stream.close()
        await self._intake.close()
        await asyncio.gather(*self._claims, return_exceptions=True)
        if self._keeper is not None:
            await cancelled(self._keeper)
        with contextlib.suppress(PerfectError, NatsError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                if self._held:
                    await renew(self._bus, self._presence(), self._lease_s)
                elif self._keeper is not None:
                    self._put(ClientDisconnected(**self._envelope(), client_id=self.client_id))
                    await withdraw(self._bus, self.client_id)
        for run_id in list(self._held):
            self._drop(run_id)

    async def _keep(self) -> None:
        hello = ClientConnected(**self._envelope(), **self._client())
        said = False

        def renewed() -> None:
            nonlocal said
            if not said:
                said = True
                self._put(hello)

        await keep(self._bus, self._presence, lease_s=self._lease_s, every_s=self._every_s, renewed=renewed)

    def _presence(self) -> Presence:
        return Presence(**self._client(), draining=self._closing)

    def _client(self) -> dict[str, Any]:
        """What its hello and its presence say alike."""
        return {
            "client_id": self.client_id,
            "name": self.wanted.name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "slots": self.wanted.slots,
            "flows": self.wanted.flows,
            "queues": [QUEUE],
        }

    def _envelope(self) -> dict[str, Any]:
        return {"id": ids.uuid7(), "at": utc_now(), "source": report.source_of(self.client_id)}

    def _put(self, event: Event) -> None:
        self._bus.outbox.put(subjects.client(self.client_id), codec.encode(event), event.id)

    # -- taking

    def _free(self) -> int:
        return 0 if self._closing else self.wanted.slots - len(self._held)

    def _take(self, hand_over: HandOver, msg: Msg) -> None:
        if hand_over.run_id in self._held:
            return  # a second delivery while the first is under way, which will be acknowledged
        self._held[hand_over.run_id] = Held()
        self._hold(hand_over.run_id, self)
        task = asyncio.create_task(self._claim(hand_over, msg), name=f"claim {hand_over.run_id}")
        self._claims.add(task)
        task.add_done_callback(self._claims.discard)

    async def _claim(self, hand_over: HandOver, msg: Msg) -> None:
        """Claim first, then acknowledge, then hand it on."""
        answer, claimed, event_id = b"+ACK", None, ids.uuid7()
        try:
            while True:
                try:
                    claimed = await claim(
                        self._bus,
                        hand_over,
                        client_id=self.client_id,
                        client_name=self.wanted.name,
                        flow_version=None,
                        event_id=event_id,
                    )
                    break
                except BusUnavailable:
                    await asyncio.sleep(AGAIN_S)
        except PerfectError as error:
            self._bus.report(f"run {hand_over.run_id} could not be claimed: {error.detail}")
            answer = b"-NAK"
        with contextlib.suppress(NatsError):  # else it is delivered again, and the claim then refused
            await self._bus.nc.publish(msg.reply, answer)
        if claimed is None:
            self._drop(hand_over.run_id)
        elif self._closing:
            await self._give_back(hand_over.run_id, claimed.epoch, claimed.seq)
        else:
            self.stream.push(
                frame(
                    "execution",
                    {
                        "run_id": hand_over.run_id,
                        "flow_id": hand_over.flow_id,
                        "flow_name": hand_over.flow_name,
                        "configuration": hand_over.configuration,
                        "parameters": hand_over.parameters,
                        "tags": hand_over.tags,
                        "client_id": self.client_id,
                        "epoch": claimed.epoch,
                    },
                )
            )
            self._claimed(hand_over.run_id, claimed.epoch, claimed.seq)

    async def _give_back(self, run_id: str, epoch: int, claim_seq: int) -> None:
        """Nobody listened any more when the claim came: the engine queues the run again."""
        subject = subjects.run(run_id)
        lost = RunLost(
            **self._envelope(),
            run_id=run_id,
            epoch=epoch,
            client_id=self.client_id,
            reason="its listener went before it heard of it",
        )
        with contextlib.suppress(Conflict, PerfectError):
            await append(self._bus, subject, lost, Guard(subject, claim_seq), deadline_s=GOODBYE_S)
        self._drop(run_id)

    async def _resume(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Claim what this listener held over its earlier connection anew, under this one's id. The rest is not its own
        any more. Raises BusUnavailable.
        """
        resumed: list[dict[str, Any]] = []
        revoked: list[str] = []
        for run_id, epoch in self.wanted.holding.items():
            aggregate = await read(self._bus, Aggregate(subjects.run(run_id), report.evolve))
            told: Told | None = aggregate.state
            if (
                told is None
                or told.life.state is not RunState.RUNNING
                or (told.life.client_id, told.life.epoch) != (self.wanted.client_id, epoch)
            ):
                revoked.append(run_id)
                continue
            self._held[run_id] = Held()
            self._hold(run_id, self)
            claimed = await start_epoch(
                self._bus,
                run_id=run_id,
                epoch=epoch + 1,
                after_seq=aggregate.seq,
                client_id=self.client_id,
                client_name=self.wanted.name,
                flow_version=None,
            )
            if claimed is None:
                self._drop(run_id)
                revoked.append(run_id)
            else:
                resumed.append({"run_id": run_id, "epoch": claimed.epoch})
                self._claimed(run_id, claimed.epoch, claimed.seq)
        return resumed, revoked

    # -- what is said of the runs that it holds

    def heard(self, run_id: str, seq: int, event: Event) -> None:
        held = self._held.get(run_id)
        if held is None or (held.epoch and seq <= held.claim_seq):
            return
        if not held.epoch:
            held.early.append((seq, event))
        elif isinstance(event, RunCancelling):
            self.stream.push(frame("cancel", {"run_id": run_id, "epoch": held.epoch}))
        elif isinstance(event, RUN_EVENTS):
            self._drop(run_id)
            own = event.source == report.source_of(self.client_id) and not isinstance(event, RunStarted)
            if not own:
                self.stream.push(frame("revoked", {"run_id": run_id, "epoch": held.epoch}))

    def _claimed(self, run_id: str, epoch: int, seq: int) -> None:
        held = self._held[run_id]
        held.epoch, held.claim_seq = epoch, seq
        early, held.early = held.early, []
        for one in early:
            self.heard(run_id, *one)

    def _drop(self, run_id: str) -> None:
        if self._held.pop(run_id, None) is not None:
            self._release(run_id, self)
            self._intake.pull()
