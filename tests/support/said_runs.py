"""What engine and worker would say of runs, for tests that need only the events."""

from typing import Any

from perfect_bus import Bus, Guard, append
from perfect_schemas import events, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.envelope import utc_now

FLOW = "gateway test"
FLOW_ID = ids.flow_id(FLOW)
TASK_ID = ids.task_id(FLOW_ID, "step")


class Runs:
    """Says the events of runs, as engine and worker would."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.last: dict[str, int] = {}

    async def say(self, run_id: str, kind: type, **fields: Any) -> int:
        event = kind(id=ids.uuid7(), at=utc_now(), source="test", run_id=run_id, **fields)
        subject = subjects.task(run_id) if "task_key" in fields else subjects.run(run_id)
        if subject == subjects.task(run_id):
            return (await self.bus.outbox.send(subject, encode(event), event.id)).seq
        self.last[run_id] = await append(self.bus, subject, event, Guard(subject, self.last.get(run_id, 0)))
        return self.last[run_id]

    async def schedule(self, run_id: str | None = None, **fields: Any) -> str:
        run_id = run_id or ids.uuid7()
        await self.say(run_id, events.RunScheduled, flow_id=FLOW_ID, flow_name=FLOW, **fields)
        return run_id

    async def start(self, **fields: Any) -> str:
        run_id = await self.schedule(**fields)
        await self.say(run_id, events.RunQueued)
        await self.say(run_id, events.RunStarted, client_id=ids.uuid7(), client_name="w", epoch=1)
        return run_id

    async def task(self, run_id: str, n: int, *, end: bool = True) -> None:
        key = f"step-{n}"
        task = {
            "task_run_id": ids.task_run_id(run_id, key),
            "task_key": key,
            "task_id": TASK_ID,
            "name": "step",
            "epoch": 1,
            "attempt": 1,
        }
        await self.say(run_id, events.TaskStarted, **task)
        if end:
            await self.say(run_id, events.TaskCompleted, duration_ms=5, **task)

    async def say_client(self, client_id: str) -> None:
        hello = events.ClientConnected(
            id=ids.uuid7(), at=utc_now(), source="test", client_id=client_id, name="w", host="a-host", pid=1, slots=1,
            python_version="3.99.1",
        )  # fmt: skip
        await self.bus.outbox.send(subjects.client(client_id), encode(hello), hello.id)

    async def complete(self, run_id: str) -> None:
        await self.say(run_id, events.RunCompleted, duration_ms=10)

    async def log(self, run_id: str, *lines: str) -> None:
        batch = events.LogBatch(
            id=ids.uuid7(),
            at=utc_now(),
            source="test",
            run_id=run_id,
            lines=[events.LogLine(at=utc_now(), level=20, message=line) for line in lines],
        )
        await self.bus.outbox.send(subjects.log(run_id), encode(batch), batch.id)
