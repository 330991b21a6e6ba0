"""What many runs would say, seeded and with every outcome, for tests that need only the events."""

import random
from datetime import UTC, datetime, timedelta

import msgspec

from perfect_bus import Bus
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, StoredValue

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FLOWS = {"etl": ["extract", "transform", "load"], "train": ["fit", "score"]}


class World:
    """Says what real runs would say: seeded, with every outcome, through the outbox."""

    def __init__(self, bus: Bus, seed: int) -> None:
        self.bus = bus
        self.random = random.Random(seed)
        self.now = BEGIN
        self.runs: list[str] = []

    def tick(self, most_ms: int = 50) -> datetime:
        self.now += timedelta(microseconds=self.random.randrange(1, most_ms * 1000))
        return self.now

    def say(self, subject: str, event) -> None:
        self.bus.outbox.put(subject, codec.encode(event), event.id)

    def envelope(self, run_id: str, **more):
        return {
            "id": ids.uuid7(),
            "at": self.tick(),
            "source": "test",
            "run_id": run_id,
            "flow_version": "v1",
        } | more

    def register(self) -> None:
        for flow, names in FLOWS.items():
            flow_id = ids.flow_id(flow)
            event = e.FlowRegistered(
                id=ids.uuid7(),
                at=self.tick(),
                source="registry",
                flow_id=flow_id,
                name=flow,
                flow_version="v1",
                tags=[flow[0]],
                description="about " + flow,
                tasks=[
                    e.TaskDefinition(
                        id=ids.task_id(flow_id, name), name=name, weight=1.0 + n, estimated_time=70
                    )
                    for n, name in enumerate(names)
                ],
                parameters={"type": "object", "properties": {"day": {"type": "string"}}},
                schedule="0 0 * * *" if flow == "etl" else None,
            )
            self.say(subjects.flow(flow_id), event)

    def client(self) -> str:
        client_id = ids.uuid7()
        event = e.ClientConnected(
            id=ids.uuid7(), at=self.tick(), source="worker", client_id=client_id, name="w", host="h", pid=1, slots=4,
            flows=[ids.flow_id("etl")], queues=["default"], sdk_version="1",
        )  # fmt: skip
        self.say(subjects.client(client_id), event)
        return client_id

    def task(
        self, run_id: str, flow: str, name: str, n: int, epoch: int, client: str, *, zombie: bool = False
    ) -> None:
        key = f"{name}-{n}"
        base = {
            "task_run_id": ids.task_run_id(run_id, key),
            "task_key": key,
            "task_id": ids.task_id(ids.flow_id(flow), name),
            "name": name,
            "ordinal": n,
            "epoch": epoch,
            "input_digest": f"{n:064x}",
        }
        came = {"after": [f"{name}-{n - 1}"]} if n % 3 else {}

        def say(kind, **more) -> None:
            self.say(subjects.task(run_id), kind(**self.envelope(run_id), **(base | more)))

        if zombie:  # what it ends is refused by the guard, but what it begins is emitted without one
            say(e.TaskStarted, attempt=1, client_id=client, **came)
            self.logs(run_id, base["task_run_id"], key)
            return
        what = self.random.random()
        if what < 0.08:
            result = StoredValue(value=msgspec.Raw(b'"cached"'), size_bytes=8)
            say(e.TaskCached, cache_key="k", result=result, **came)
            return
        if what < 0.12:
            say(e.TaskSkipped, reason="not today", **came)
            return
        say(e.TaskStarted, attempt=1, client_id=client, **came)
        attempt = 1
        if what < 0.25:
            say(e.TaskRetrying, attempt=1, next_at=self.now, error=ErrorInfo(kind="a:E", message="once"))
            attempt = 2
            say(e.TaskStarted, attempt=2, client_id=client, **came)
        if what < 0.3:
            say(
                e.TaskFailed, attempt=attempt, duration_ms=7, error=ErrorInfo(kind="a:E", message="no 'luck'")
            )
        elif what > 0.35:
            slow = 5000 if self.random.random() < 0.05 else 0
            result = StoredValue(value=msgspec.Raw(b'{"rows":[1,2.5,"\xc3\xa9"]}'), size_bytes=22)
            say(
                e.TaskCompleted,
                attempt=attempt,
                duration_ms=60 + self.random.randrange(20) + slow,
                result=result if what > 0.4 else None,
            )
        self.logs(run_id, base["task_run_id"], key)

    def logs(self, run_id: str, task_run_id: str | None, key: str | None) -> None:
        lines = [
            e.LogLine(
                at=self.tick(),
                level=self.random.choice([10, 20, 30, 40]),
                message=f"line {n} 100% of_{key}\x1b[31m",
                task_run_id=task_run_id,
                task_key=key,
            )
            for n in range(self.random.randrange(1, 6))
        ]
        self.say(subjects.log(run_id), e.LogBatch(**self.envelope(run_id), lines=lines))

    def run(self, client: str) -> str:
        flow = self.random.choice(list(FLOWS))
        run_id = ids.uuid7()
        self.runs.append(run_id)

        def say(kind, **more) -> None:
            self.say(subjects.run(run_id), kind(**self.envelope(run_id), **more))

        say(
            e.RunScheduled,
            flow_id=ids.flow_id(flow),
            flow_name=flow,
            parameters={"day": "2026-03-01", "n": [1, {"x": None}]},
            tags=["nightly", flow] if self.random.random() < 0.5 else [],
            configuration=self.random.choice(["development", "debug", "release"]),
            name=self.random.choice([None, "lively-otter"]),
        )
        if self.random.random() < 0.05:
            say(e.RunCancelled, reason="changed my mind")
            return run_id
        say(e.RunQueued, priority=self.random.randrange(3))
        epoch = 1
        say(e.RunStarted, epoch=epoch, client_id=client, client_name="worker-1")
        for n, name in enumerate(FLOWS[flow]):
            self.task(run_id, flow, name, n, epoch, client)
            if self.random.random() < 0.1:
                say(e.RunLost, client_id=client, reason="its lease ended")
                say(e.RunQueued)
                epoch += 1
                say(e.RunStarted, epoch=epoch, client_id=client, client_name="worker-2")
                self.task(
                    run_id, flow, name, n, epoch, client
                )  # again: of its events those that are legal count
                self.task(run_id, flow, name, n, epoch - 1, client, zombie=True)
        end = self.random.random()
        if end < 0.6:
            say(
                e.RunCompleted, epoch=epoch, duration_ms=200 + self.random.randrange(90), result=StoredValue()
            )
        elif end < 0.75:
            say(
                e.RunFailed,
                epoch=epoch,
                duration_ms=150,
                error=ErrorInfo(kind="b:F", message="bad", args=msgspec.Raw(b"[1]")),
            )
            if end < 0.68:
                say(e.RunRetried, by="me")
                say(e.RunQueued)
                say(e.RunStarted, epoch=epoch + 1, client_id=client, client_name="worker-3")
                say(e.RunCompleted, epoch=epoch + 1, duration_ms=99)
        elif end < 0.85:
            say(e.RunCancelling, by="me")
            say(e.RunCancelled)
        elif end < 0.87:
            say(e.RunPausing, by="me")
            say(e.RunSuspended, waits_for="input", key="pausing-1")
        elif end < 0.9:
            say(e.RunSuspended, waits_for="sleep", wake_at=self.now + timedelta(hours=1))
        elif end < 0.95:
            say(e.RunCrashed, reason="out of memory")
        return run_id
