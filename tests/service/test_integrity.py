"""Every check of the doctor passes over a file that is whole, and fails over one that is damaged in the way it looks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.batch import Message
from perfect_projector.duck import Duck
from perfect_projector.integrity import check_holes, find_holes, report
from perfect_projector.log_row import decode
from perfect_projector.project import Projection
from perfect_projector.service import ProjectorService
from perfect_runtime import environment
from perfect_runtime.space import MB, Space
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import utc_now
from perfect_schemas.queries import Integrity, IntegrityCheck
from perfect_schemas.schedule import ScheduleSpec

FLOW = ids.flow_id("etl")
LOAD = ids.task_id(FLOW, "load")
RUN = ids.uuid7()
LIMIT = subjects.limit(ids.uuid7())
SCHEDULE = ids.schedule_id(FLOW, "default")
SPEC = ScheduleSpec(kind="cron", cron="* * * * *")
QUERY = Integrity(conduct=True, sample=10, holes=True)


def said(kind: Any, **fields: Any) -> Any:
    return kind(id=ids.uuid7(), at=utc_now(), source="test", run_id=RUN, **fields)


def task(kind: Any, n: int, **fields: Any) -> Any:
    key = f"load-{n}"
    return said(
        kind, task_run_id=ids.task_run_id(RUN, key), task_key=key, task_id=LOAD, name="load", ordinal=n, epoch=1,
        attempt=1, **fields,
    )  # fmt: skip


def history() -> list[tuple[str, str, Any]]:
    """A run with two tasks and a log line, and a limit that was used."""
    run, tasks = subjects.run(RUN), subjects.task(RUN)
    line = e.LogLine(at=utc_now(), level=20, message="hello")
    grant = {"name": "db", "epoch": 1, "task_key": "load-0"}
    schedule = subjects.schedule(SCHEDULE)
    return [
        ("EVENTS", run, said(e.RunScheduled, flow_id=FLOW, flow_name="etl")),
        ("EVENTS", run, said(e.RunQueued)),
        ("EVENTS", run, said(e.RunStarted, epoch=1, client_id=ids.uuid7(), client_name="w1")),
        ("DEFS", LIMIT, said(e.LimitSet, name="db", slots=1)),
        ("DEFS", LIMIT, said(e.SlotGranted, **grant)),
        ("DEFS", LIMIT, said(e.SlotReleased, **grant)),
        (
            "DEFS",
            schedule,
            said(e.ScheduleCreated, schedule_id=SCHEDULE, flow_id=FLOW, flow_name="etl", spec=SPEC),
        ),
        (
            "DEFS",
            schedule,
            said(e.ScheduleFired, schedule_id=SCHEDULE, at_instant=utc_now(), due_at=utc_now()),
        ),
        *(
            ("EVENTS", tasks, event)
            for n in range(2)
            for event in (task(e.TaskStarted, n), task(e.TaskCompleted, n, duration_ms=5 + n))
        ),
        ("LOGS", subjects.log(RUN), said(e.LogBatch, lines=[line])),
        ("EVENTS", run, said(e.RunCompleted, epoch=1, duration_ms=20)),
    ]


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[Duck]:
    """A file as the projector writes it."""
    last = dict.fromkeys(("DEFS", "EVENTS", "LOGS"), 0)
    messages = []
    for stream, subject, event in history():
        last[stream] += 1
        stored_ns = int(event.at.timestamp() * 1e9)
        messages.append(Message(stream, last[stream], subject, codec.encode(event), stored_ns))
    duck = Duck(tmp_path / "perfect.duckdb")
    duck.write(Projection().fold(decode(messages)).batch)
    yield duck
    duck.close()


def failed(duck: Duck) -> dict[str, IntegrityCheck]:
    checks = report(duck.loader(), QUERY)[0].checks
    assert all(check.meaning.endswith(".") for check in checks)
    return {check.name: check for check in checks if not check.ok}


def events_of(duck: Duck) -> str:
    (month,) = duck.months.known["events"]
    return f"events_{month}"


def again(duck: Duck, event: Any, stream: str = "EVENTS") -> None:
    """Write one more event to the log, and nothing else."""
    duck.connection.execute(
        f"INSERT INTO {events_of(duck)} SELECT $1, max(seq) + 1, max(ts), $2, $3, NULL, $4 FROM events WHERE stream = $1",
        [stream, event.type, RUN if stream == "EVENTS" else None, codec.encode(event).decode()],
    )


def test_a_whole_file(duck: Duck) -> None:
    assert failed(duck) == {}
    assert find_holes(duck.loader()) == []
    names = [check.name for check in report(duck.loader(), QUERY)[0].checks]
    assert set(names) == {name for name, _ in DAMAGES}


DAMAGES = [
    (
        "offsets",
        "DELETE FROM {events} WHERE stream = 'EVENTS' AND seq = (SELECT max(seq) FROM events WHERE stream = 'EVENTS')",
    ),
    ("offsets", "UPDATE consumer_offsets SET seq = 0 WHERE stream = 'LOGS'"),
    ("events", "INSERT INTO {events} SELECT * FROM events WHERE stream = 'EVENTS' AND seq = 2"),
    ("logs", "INSERT INTO {logs} FROM logs LIMIT 1"),
    ("runs", "INSERT INTO runs FROM runs"),
    ("task_runs", "INSERT INTO task_runs FROM task_runs LIMIT 1"),
    ("task_statistics", "UPDATE task_statistics SET sample_count = 3"),
    ("task_durations", "UPDATE task_statistics SET avg_duration_ms = avg_duration_ms + 0.001"),
    ("task_durations", "UPDATE task_statistics SET m2 = m2 * 1.0001"),
    ("task_statistics", "DELETE FROM task_statistics"),
    ("flow_statistics", "UPDATE flow_statistics SET max_duration_ms = 21"),
    ("flow_statistics", "DELETE FROM flow_statistics"),
    ("open_tasks", "UPDATE task_runs SET state = 'RUNNING' WHERE task_key = 'load-1'"),
    ("schedules", "INSERT INTO schedules FROM schedules"),
    ("schedules", "INSERT INTO schedule_decisions FROM schedule_decisions"),
    ("fired_twice", "INSERT INTO schedule_decisions SELECT * REPLACE (uuid() AS id) FROM schedule_decisions"),
    ("refold_schedules", "UPDATE schedules SET decided_through = decided_through + INTERVAL 1 SECOND"),
    ("refold_schedules", "DELETE FROM schedule_decisions"),
    ("refold", "UPDATE runs SET state = 'FAILED'"),
    ("refold", "UPDATE task_runs SET duration_ms = 7 WHERE task_key = 'load-1'"),
    ("refold", "DELETE FROM task_runs WHERE task_key = 'load-1'"),
    ("refold", "DELETE FROM {events} WHERE type = 'task.completed'"),
    ("repeated_tasks", task(e.TaskStarted, 0)),
    ("final_events", task(e.TaskCompleted, 1, duration_ms=5)),
    ("final_runs", said(e.RunCancelled)),
    ("slots", None),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_what_each_check_finds(duck: Duck, name: str, damage: Any) -> None:
    if damage is None:
        again(duck, said(e.SlotGranted, name="db", epoch=1, task_key="load-0"), "DEFS")
        again(duck, said(e.SlotGranted, name="db", epoch=1, task_key="load-1"), "DEFS")
    elif isinstance(damage, str):
        (month,) = duck.months.known["logs"]
        duck.connection.execute(damage.format(events=events_of(duck), logs=f"logs_{month}"))
    else:
        again(duck, damage)
    found = failed(duck)
    assert name in found
    assert found[name].lines or name == "offsets"


async def test_holes(duck: Duck) -> None:
    """A message that left the bus before it was read is no loss; one that the bus still has is."""
    duck.connection.execute(f"DELETE FROM {events_of(duck)} WHERE stream = 'EVENTS' AND seq IN (3, 4)")
    assert find_holes(duck.loader()) == [("EVENTS", 2, 5)]

    async def both(*_: object) -> int:
        return 2

    async def one(*_: object) -> int:
        return 1

    assert (await check_holes([("EVENTS", 2, 5)], both)).ok
    check = await check_holes([("EVENTS", 2, 5)], one)
    assert not check.ok
    assert check.lines == ["EVENTS: 1 messages between 2 and 5 are on the bus, not in the log"]


async def test_holes_against_the_bus(bus: Bus, start_service, settings: Settings) -> None:
    for _, subject, event in history():
        await bus.outbox.send(subject, codec.encode(event), event.id)
    await bus.js.purge_stream("EVENTS", seq=3, subject=subjects.task(RUN))
    service = await start_service(ProjectorService)
    end = (await bus.js.stream_info("EVENTS")).state.last_seq
    await bus.js.delete_msg("EVENTS", 5)
    from eventually import eventually

    await eventually(lambda: service.committed["EVENTS"] >= end)

    async def holes() -> IntegrityCheck:
        reply = await bus.ask(subjects.query("integrity"), QUERY)
        checks = msgspec.json.decode(reply.value, type=dict)["checks"]
        return msgspec.convert(next(check for check in checks if check["name"] == "holes"), IntegrityCheck)

    assert (await holes()).ok
    writer = service._loop
    await writer.in_writer(
        service._duck.connection.execute,
        f"DELETE FROM {events_of(service._duck)} WHERE stream = 'EVENTS' AND seq = 2",
    )
    check = await holes()
    assert not check.ok
    assert "EVENTS: 1 messages between 1 and 3" in check.lines[0]


def test_the_host(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.data_dir.mkdir(mode=0o700)
    (settings.data_dir / "nats.json").write_text("{}")
    (settings.data_dir / "nats.json").chmod(0o644)
    checks = {check.name: check for check in environment.of_host(settings)}
    assert not checks["permissions"].ok
    assert "0644" in checks["permissions"].lines[0]
    assert checks["versions"].ok
    assert checks["disk"].ok
    settings.data_dir.chmod(0o755)
    (settings.data_dir / "nats.json").chmod(0o600)
    wrong = msgspec.structs.replace(settings, nats_server="/nowhere")
    monkeypatch.setattr(environment, "space", lambda _: Space(total=10_000 * MB, free=199 * MB))
    checks = {check.name: check for check in environment.of_host(wrong)}
    assert {name: check.ok for name, check in checks.items()} == {
        "versions": False, "permissions": False, "disk": False,
    }  # fmt: skip
    assert "less than 200.0 MB are free" in checks["disk"].lines[0]  # of so small a disk, 2 %


async def test_the_system(bus: Bus, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {check.name: check for check in await environment.of_system(bus, settings)}
    assert [name for name, check in found.items() if not check.ok] == ["services"]
    assert "the engine service does not answer" in "".join(found["services"].lines)
    await bus.js.delete_stream("TIMERS")
    await bus.outbox.send(subjects.run(RUN), b"x" * 900, ids.uuid7())
    info = await bus.js.stream_info("EVENTS")
    await bus.js.update_stream(info.config.evolve(max_bytes=info.state.bytes + 10))
    monkeypatch.setattr("perfect_runtime.environment.time.time", lambda: 1e9)
    found = {check.name: check for check in await environment.of_system(bus, settings)}
    assert "TIMERS is missing" in found["streams"].lines[0] + found["streams"].lines[1]
    assert "runs stand still" in found["streams"].lines[0]
    assert not found["clock"].ok
