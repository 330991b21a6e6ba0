"""What a batch says is what DuckDB keeps, however its columns are handed over: few rows as lists, many as text."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from perfect_projector import duck as duck_file
from perfect_projector.batch import Batch, Message
from perfect_projector.binding import MANY
from perfect_projector.duck import Duck
from perfect_projector.log_row import decode, event_row
from perfect_schemas import codec, ids
from perfect_schemas import events as e
from perfect_schemas.streams import EVENTS

AT = datetime(2026, 11, 23, 4, 5, 6, 789, tzinfo=UTC)
STORED_NS = int(AT.timestamp()) * 10**9
ZONES = [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30))]
TASK_RUNS = [ids.uuid7(), None, "no id", 'x","y']


@pytest.fixture
def duck(tmp_path: Path):
    duck = Duck(tmp_path / "read-model.duckdb")
    yield duck
    duck.close()


def batch_of(count: int, run_id: str) -> Batch:
    """The same moment in every zone, task runs with ids that are none, texts that need care in any notation."""
    messages = [
        Message(
            EVENTS.name,
            seq,
            f"perfect.evt.run.{run_id}",
            codec.encode(
                e.RunQueued(
                    id=f"event {seq}", at=AT.astimezone(ZONES[seq % 3]), source='a "quoted", [listed] \\ {text} ü\u2028',
                    run_id=run_id, task_run_id=TASK_RUNS[seq % 4],
                )
            ),
            STORED_NS,
        )
        for seq in range(1, count + 1)
    ]  # fmt: skip
    rows = [event_row(message, event, run_id) for message, event in decode(messages)]
    return Batch(events={messages[0].month: rows}, offsets={EVENTS.name: count})


@pytest.mark.parametrize("count", [1, MANY - 1, MANY, 5 * MANY])
def test_what_is_written_is_read_back(duck: Duck, count: int) -> None:
    run_id = ids.uuid7()
    batch = batch_of(count, run_id)
    duck.write(batch)
    (rows,) = batch.events.values()
    found = duck.connection.execute(
        "SELECT stream, seq, ts, type, run_id::VARCHAR, task_run_id::VARCHAR, payload FROM events ORDER BY seq"
    ).fetchall()
    assert found == [
        (stream, seq, AT.replace(tzinfo=None), kind, run_id, TASK_RUNS[0] if seq % 4 == 0 else None, payload)
        for stream, seq, _, kind, _, _, payload in rows
    ]
    assert duck.offsets() == {"DEFS": (0, None), "EVENTS": (count, None), "LOGS": (0, None)}


@pytest.mark.parametrize("count", [1, 2 * MANY])
def test_the_subject_of_a_stranger_is_no_run(duck: Duck, count: int) -> None:
    duck.write(batch_of(count, '["a", null]'))
    assert duck.connection.execute("SELECT count(*), count(run_id) FROM events").fetchone() == (count, 0)


def test_what_was_taken_while_behind_is_put_into_the_file_once_it_is_over(duck: Duck, monkeypatch) -> None:
    log = duck_file.log_file(duck.file)
    duck.behind(behind=True)
    duck.write(batch_of(MANY, ids.uuid7()))
    duck.caught_up()  # too little for a checkpoint
    assert (duck.is_behind, duck.checkpoints, log.exists()) == (False, 0, True)

    monkeypatch.setattr(duck_file, "CHECKPOINT_LIVE_BYTES", log.stat().st_size)
    duck.behind(behind=True)
    duck.caught_up()
    assert (duck.is_behind, duck.checkpoints, log.exists()) == (False, 1, False)
    assert duck.connection.execute("SELECT count(*) FROM events").fetchone() == (MANY,)
