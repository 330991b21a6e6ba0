"""A worker of the tests' own: it speaks the protocol and runs no code."""

import msgspec

from perfect_bus import Bus, Guard, append, presence
from perfect_bus.claim import Claim, claim
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import HandOver, Presence, Registered, RegisterFlow, Triggered, TriggerRun
from perfect_schemas.envelope import ErrorInfo, StoredValue, utc_now
from perfect_schemas.events import RunCompleted, RunFailed, RunSuspended
from perfect_schemas.events.client import ClientConnected
from perfect_schemas.events.task import TaskCompleted, TaskStarted

_hand_over = msgspec.json.Decoder(HandOver).decode


class Worker:
    def __init__(self, bus: Bus, *flows: str, slots: int = 1, lease_s: float = 60.0) -> None:
        """lease_s: nobody renews it, so what is to be lost says a short one."""
        self.bus = bus
        self.id = ids.uuid7()
        self.lease_s = lease_s
        self.presence = Presence(
            client_id=self.id,
            name="w",
            host="h",
            pid=1,
            slots=slots,
            flows=[ids.flow_id(name) for name in flows],
        )
        self.pulls = {}

    async def connect(self) -> "Worker":
        """Announce, renew once, subscribe."""
        event = ClientConnected(
            id=ids.uuid7(),
            at=utc_now(),
            source=f"worker:{self.id}",
            client_id=self.id,
            name="w",
            host="h",
            pid=1,
            slots=self.presence.slots,
        )
        await append(self.bus, subjects.client(self.id), event, Guard(subjects.client(self.id), 0))
        await self.renew()
        for flow in self.presence.flows:
            self.pulls[flow] = await self.bus.js.pull_subscribe(
                subjects.work("default", flow),
                durable=subjects.work_consumer("default", flow),
                stream="WORK",
            )
        return self

    async def renew(self) -> None:
        await presence.renew(self.bus, self.presence, self.lease_s)

    async def leave(self) -> None:
        await presence.withdraw(self.bus, self.id)

    async def take(self, flow: str, timeout: float = 30.0) -> HandOver:
        [msg] = await self.pulls[ids.flow_id(flow)].fetch(1, timeout=timeout)
        await msg.ack()
        return _hand_over(msg.data)

    async def claim(self, hand_over: HandOver) -> Claim | None:
        return await claim(self.bus, hand_over, client_id=self.id, client_name="w", flow_version=None)

    async def start(self, flow: str, timeout: float = 30.0) -> Claim:
        """The next run that can be claimed. Hand-overs that are refused are dropped: of two engines, one decides second."""
        while True:
            claimed = await self.claim(await self.take(flow, timeout))
            if claimed is not None:
                return claimed

    async def suspend(self, claimed: Claim, waits_for: str, **fields) -> int:
        """The run waits: for input, sleep, child …"""
        return await self.say(claimed, RunSuspended, waits_for=waits_for, **fields)

    async def fail(self, claimed: Claim) -> int:
        error = ErrorInfo(kind="builtins:ValueError", message="no")
        return await self.say(claimed, RunFailed, duration_ms=1, error=error)

    async def say(self, claimed: Claim, kind, **fields) -> int:
        """An event of the run itself, guarded on the claim."""
        event = kind(
            id=ids.uuid7(),
            at=utc_now(),
            source=f"worker:{self.id}",
            run_id=claimed.run_id,
            epoch=claimed.epoch,
            **fields,
        )
        subject = subjects.run(claimed.run_id)
        return await append(self.bus, subject, event, Guard(subject, claimed.seq))

    async def task(
        self,
        claimed: Claim,
        key: str = "t-0",
        result: object = None,
        state_name: str | None = None,
        run_name: str | None = None,
        **fields,
    ) -> None:
        common = {
            "at": utc_now(),
            "source": f"worker:{self.id}",
            "run_id": claimed.run_id,
            "task_run_id": ids.task_run_id(claimed.run_id, key),
            "task_key": key,
            "task_id": ids.uuid7(),
            "name": "t",
            **fields,
            "epoch": claimed.epoch,
            "attempt": 1,
        }
        guard = Guard(subjects.run(claimed.run_id), claimed.seq)
        for event in (
            TaskStarted(id=ids.uuid7(), run_name=run_name, **common),
            TaskCompleted(
                id=ids.uuid7(),
                duration_ms=1,
                state_name=state_name,
                result=None if result is None else StoredValue(value=msgspec.Raw(codec.encode(result))),
                **common,
            ),
        ):
            await append(self.bus, subjects.task(claimed.run_id), event, guard)

    async def complete(self, claimed: Claim) -> int:
        return await self.say(claimed, RunCompleted, duration_ms=1)


async def register(bus: Bus, name: str, **definition) -> Registered:
    reply = await bus.ask(subjects.command("registry", "register"), RegisterFlow(name=name, **definition))
    return msgspec.json.decode(reply.value, type=Registered)


async def trigger(bus: Bus, flow: str, **command) -> Triggered:
    command.setdefault("run_id", ids.uuid7())
    reply = await bus.ask(subjects.command("engine", "trigger"), TriggerRun(flow=flow, **command))
    return msgspec.json.decode(reply.value, type=Triggered)


async def types(bus: Bus, run_id: str) -> list[str]:
    """The types of the run's events, without `run.`."""
    return [event.type.removeprefix("run.") for _, event in await bus.read(subjects.run(run_id))]


async def until(bus: Bus, run_id: str, kind: str, *, after: int = 0):
    """Wait for an event of that type on the run's subject, without polling. Returns (sequence, event)."""
    import asyncio

    found = asyncio.get_running_loop().create_future()

    async def heard(msg, seq):
        event = codec.decode(msg.data)
        if event.type == f"run.{kind}" and not found.done():
            found.set_result((seq, event))

    following = await bus.follow("EVENTS", heard, after=after, subject=subjects.run(run_id))
    try:
        return await asyncio.wait_for(found, 60)
    finally:
        await following.unsubscribe()
