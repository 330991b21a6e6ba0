"""The rows of a batch are the fold of its events, however the events are cut into batches."""

import time
from collections import defaultdict

import msgspec
import pytest
from said_world import World

from perfect_projector import run_row, task_row
from perfect_projector.batch import Message, month_of
from perfect_projector.log_row import decode
from perfect_projector.project import Projection
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import utc_now
from perfect_schemas.folds.history import History


class Tape:
    """In the place of a connection: what is put is kept, numbered by stream."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.last: dict[str, int] = defaultdict(int)
        self.outbox = self

    def put(self, subject: str, data: bytes, _id: str) -> None:
        stream = (
            "LOGS" if ".log." in subject else "EVENTS" if subject.split(".")[2] in ("run", "task") else "DEFS"
        )
        self.last[stream] += 1
        self.messages.append(Message(stream, self.last[stream], subject, data, 1_780_000_000 * 10**9))


class Tables:
    """Rows by key, as the statements would leave them."""

    def __init__(self) -> None:
        self.rows: dict[str, dict] = defaultdict(dict)
        self.events = 0

    def write(self, batch) -> None:
        for name in ("runs", "task_runs", "flows", "tasks", "task_statistics", "flow_statistics"):
            known = self.rows[name]
            rows, new = getattr(batch, name), getattr(batch, f"new_{name}", [])
            if hasattr(batch, f"new_{name}"):
                assert not known.keys() & {row[0] for row in new}, f"{name}: a second row of a key"
                assert known.keys() >= {row[0] for row in rows}, f"{name}: a row is changed that is not there"
            rows = [*rows, *new]
            assert len({row[0] for row in rows}) == len(rows), f"{name}: a key stands twice in one batch"
            self.rows[name] |= {row[0]: row for row in rows}
        rolls, known = self.rows["daily_statistics"], {row[:5] for row in batch.daily_statistics}
        assert known <= rolls.keys()
        assert not rolls.keys() & {row[:5] for row in batch.new_daily_statistics}
        for row in [*batch.new_daily_statistics, *batch.daily_statistics]:
            rolls[row[:5]] = row
        self.events += sum(len(rows) for rows in batch.events.values())

    def load(self, run_ids):
        runs = [self.rows["runs"][run_id] for run_id in run_ids if run_id in self.rows["runs"]]
        tasks = [row for row in self.rows["task_runs"].values() if row[1] in run_ids]
        return runs, sorted(tasks, key=lambda row: row[17])


def projected(messages, size: int, *, forget: bool = False) -> tuple[Tables, Projection]:
    tables, projection = Tables(), Projection()
    for start in range(0, len(messages), size):
        decoded = decode(messages[start : start + size])
        projection.held.restore(*tables.load(projection.held.missing(decoded)))
        draft = projection.fold(decoded)
        assert draft.failed == []
        tables.write(draft.batch)
        if forget:
            projection.held.entries.clear()
    return tables, projection


@pytest.fixture
def tape() -> Tape:
    tape = Tape()
    world = World(tape, seed=5)
    world.register()
    client = world.client()
    for _ in range(80):
        world.run(client)
    return tape


def test_rows_are_the_fold(tape: Tape) -> None:
    histories: dict[str, History] = defaultdict(History)
    for message in tape.messages:
        if message.stream == "EVENTS":
            histories[message.subject.rpartition(".")[2]].apply(codec.decode(message.data), message.seq)
    tables, projection = projected(tape.messages, 100)
    lives = {run_id: run_row.life_of(row)[0] for run_id, row in tables.rows["runs"].items()}
    assert lives == {run_id: history.run for run_id, history in histories.items()}
    tasks = {key: task_row.life_of(row)[0] for key, row in tables.rows["task_runs"].items()}
    assert tasks == {task.id: task for history in histories.values() for task in history.tasks.values()}
    assert projection.unknown == projection.invalid == 0


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_how_the_events_are_gathered_makes_no_difference(tape: Tape, size: int) -> None:
    whole, _ = projected(tape.messages, len(tape.messages))
    parts, _ = projected(tape.messages, size)
    assert parts.rows == whole.rows


def test_letting_go_of_runs_makes_no_difference(tape: Tape) -> None:
    whole, _ = projected(tape.messages, 50)
    parts, _ = projected(tape.messages, 50, forget=True)
    for table in ("runs", "task_runs", "task_statistics", "flow_statistics", "daily_statistics"):
        for key, row in whole.rows[table].items():
            assert _rounded(parts.rows[table][key]) == _rounded(row)


def _rounded(row):
    return tuple(round(value, 6) if isinstance(value, float) else value for value in row)


def test_progress_is_100_only_when_completed(tape: Tape) -> None:
    tables, _ = projected(tape.messages, 100)
    for row in tables.rows["runs"].values():
        assert (row[6] == 100.0) == (row[5] == "COMPLETED")
        assert 0 <= row[6] <= 100
        assert row[23] <= row[24] or row[5] != "COMPLETED"


def message(seq: int, subject: str, data: bytes) -> Message:
    return Message("EVENTS", seq, subject, data, time.time_ns())


def test_what_cannot_be_read_is_kept_and_counted() -> None:
    run_id = ids.uuid7()
    projection = Projection()
    odd = [b'{"type":"run.teleported","id":"x","run_id":1}', b"no json", b"\xff", b'{"a":"\\ud800"}', b""]
    draft = projection.fold(decode([message(n, subjects.run(run_id), data) for n, data in enumerate(odd, 1)]))
    rows = [row for rows in draft.batch.events.values() for row in rows]
    assert projection.unknown == len(odd) == len(rows)
    assert rows[0][3] == "run.teleported"
    for row in rows:
        msgspec.json.decode(row[6])  # what is stored is JSON
    assert draft.batch.offsets == {"EVENTS": len(odd)}


def test_ids_that_are_none_change_nothing() -> None:
    run_id = ids.uuid7()
    head = {"id": ids.uuid7(), "at": utc_now(), "source": "t", "run_id": run_id}
    task = {"task_key": "a-0", "name": "a", "task_run_id": ids.uuid7(), "task_id": ids.uuid7()}
    odd = [
        ("perfect.evt.run.me", e.RunScheduled(**head, flow_id=ids.flow_id("f"), flow_name="f")),
        (subjects.run(run_id), e.RunScheduled(**head, flow_id="f", flow_name="f")),
        (subjects.task(run_id), e.TaskStarted(**head, **task | {"task_id": "a"})),
        (subjects.task(run_id), e.TaskStarted(**head, **task | {"task_run_id": "a"})),
    ]
    projection = Projection()
    draft = projection.fold(
        decode([message(n, subject, codec.encode(event)) for n, (subject, event) in enumerate(odd, 1)])
    )
    assert (draft.batch.new_runs, draft.batch.new_task_runs) == ([], [])
    assert projection.invalid == 4


def test_an_event_that_cannot_be_folded_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = ids.uuid7()
    head = {"at": utc_now(), "source": "t", "run_id": run_id}
    said = [
        e.RunScheduled(id=ids.uuid7(), **head, flow_id=ids.flow_id("f"), flow_name="f"),
        e.RunStarted(id=ids.uuid7(), **head, epoch=1, client_id="c"),
        e.RunCrashed(id=ids.uuid7(), **head, reason="odd"),
        e.RunCompleted(id=ids.uuid7(), **head, epoch=1, duration_ms=1),
    ]
    apply = History.apply

    def fails_at_3(history: History, event, seq: int):
        if seq == 3:
            raise ValueError(seq)
        return apply(history, event, seq)

    monkeypatch.setattr(History, "apply", fails_at_3)
    draft = Projection().fold(
        decode([message(n, subjects.run(run_id), codec.encode(event)) for n, event in enumerate(said, 1)])
    )
    assert [m.seq for m, _ in draft.failed] == [3]
    assert [row[5] for row in draft.batch.new_runs] == ["COMPLETED"]
    assert sum(map(len, draft.batch.events.values())) == 4


def test_months() -> None:
    assert month_of(0) == "1970_01"
    assert month_of(1_780_000_000 * 10**9) == "2026_05"


def test_what_is_held_is_bounded(tape: Tape) -> None:
    limits = {"keep_batches": 1, "max_runs": 10**9, "max_tasks": 10**9, "max_bytes": 10**9}
    _, projection = projected(tape.messages, len(tape.messages))
    held = projection.held
    assert len(held.entries) == 80
    held.forget(projection.batches, **limits | {"max_runs": 4})
    assert len(held.entries) == 80, "all are in use"
    held.forget(projection.batches + 1, **limits)
    assert len(held.entries) == 80, "they have ended only one batch ago"
    held.forget(projection.batches + 2, **limits)
    assert 0 < len(held.entries) < 80
    assert not any(entry.is_final for entry in held.entries.values())
    held.forget(projection.batches + 2, **limits | {"max_bytes": 2000})
    assert sum(entry.size for entry in held.entries.values()) <= 1000
    held.forget(projection.batches + 2, **limits | {"max_runs": 0})
    assert held.entries == {}
