"""A run whose events a `BusJournal` writes, and what stands on the streams of it."""

from perfect_bus import Guard, append
from perfect_schemas import events as e
from perfect_schemas import ids, subjects
from perfect_schemas.envelope import utc_now
from perfect_sdk.connecting.io import IO
from perfect_sdk.recording.bus_journal import BusJournal

FLOW = ids.flow_id("etl")


class Run:
    """A run that has started, with the journal of its first epoch."""

    def __init__(self, io: IO) -> None:
        self.io = io
        self.id = ids.uuid7()
        self.journal = BusJournal(io, run_id=self.id, epoch=1, claim_seq=0, source="worker:a")
        self.journal.commit(e.RunScheduled(**self.envelope(), flow_id=FLOW, flow_name="etl"))
        self.journal.commit(e.RunStarted(**self.envelope(), client_id="a"))

    def envelope(self, epoch: int = 1) -> dict:
        return {"id": ids.uuid7(), "at": utc_now(), "source": "t", "run_id": self.id, "epoch": epoch}

    def task(self, n: int) -> dict:
        key = f"/t-{n}"
        return {
            **self.envelope(),
            "task_run_id": ids.task_run_id(self.id, key),
            "task_key": key,
            "task_id": ids.task_id(FLOW, "t"),
            "name": "t",
            "ordinal": n,
        }

    def started(self, n: int) -> e.TaskStarted:
        return e.TaskStarted(**self.task(n))

    def completed(self, n: int) -> e.TaskCompleted:
        return e.TaskCompleted(**self.task(n), duration_ms=1)

    def ended(self) -> e.RunCompleted:
        return e.RunCompleted(**self.envelope(), duration_ms=1)

    def engine_says(self, event: e.Event) -> int:
        subject = subjects.run(self.id)

        async def say() -> int:
            stored = await self.io.bus.read(subject)
            return await append(self.io.bus, subject, event, Guard(subject, stored[-1][0]))

        return self.io.call(say)

    def stored(self, subject: str, stream: str = "EVENTS") -> list:
        async def read() -> list:
            return [event for _, event in await self.io.bus.read(subject, stream=stream)]

        return self.io.call(read)

    def task_events(self) -> list:
        return self.stored(subjects.task(self.id))

    def run_events(self) -> list[str]:
        return [event.type for event in self.stored(subjects.run(self.id))]

    def lines(self) -> list[str]:
        return [line.message for batch in self.batches() for line in batch.lines]

    def batches(self) -> list[e.LogBatch]:
        return self.stored(subjects.log(self.id), "LOGS")
