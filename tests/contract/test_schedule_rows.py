"""The rows of schedules are the fold of their events: however these are cut into batches, after a rebuild, after a stream
that has lost its end; and the proof notices what is wrong.
"""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from perfect_projector.batch import Message
from perfect_projector.duck import Duck
from perfect_projector.folding import fold, restore
from perfect_projector.project import Projection
from perfect_projector.rebuild import rebuild
from perfect_projector.refold import bound
from perfect_projector.schedule_refold import check
from perfect_projector.schedule_row import row_of, schedule_of
from perfect_schemas import codec, ids, subjects
from perfect_schemas.envelope import Event
from perfect_schemas.events import schedule as e
from perfect_schemas.folds import schedule as schedule_fold
from perfect_schemas.folds.schedule import Schedule
from perfect_schemas.schedule import ScheduleSpec

BEGIN = datetime(2026, 5, 31, 23, 0, tzinfo=UTC)
FLOW = ids.flow_id("etl")
NAMES = ("a", "b", "c")


class Story:
    """What might be said of some schedules, seeded."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.now = BEGIN
        self.count = 0
        self.folds: dict[str, Schedule | None] = {}

    def messages(self, count: int) -> list[Message]:
        found = []
        for seq in range(1, count + 1):
            self.now += timedelta(seconds=self.draw.randrange(1, 90))
            schedule_id = ids.schedule_id(FLOW, self.draw.choice(NAMES))
            event = self.event(schedule_id)
            self.folds[schedule_id] = schedule_fold.evolve(self.folds.get(schedule_id), event, seq)
            stored_ns = int(self.now.timestamp()) * 10**9
            found.append(Message("DEFS", seq, subjects.schedule(schedule_id), codec.encode(event), stored_ns))
        return found

    def event(self, schedule_id: str) -> Event:
        self.count += 1
        base: dict[str, Any] = {
            "id": ids.uuid7_for(self.now, "event", str(self.count)), "at": self.now, "source": "test",
            "schedule_id": schedule_id,
        }  # fmt: skip
        known = self.folds.get(schedule_id)
        name = next(name for name in NAMES if ids.schedule_id(FLOW, name) == schedule_id)
        spec = ScheduleSpec(
            name=name,
            kind="interval",
            interval_ms=1000 * self.draw.randrange(1, 90),
            parameters={"n": self.count},
        )
        if known is None or known.removed:
            return e.ScheduleCreated(**base, flow_id=FLOW, flow_name="etl", spec=spec, by="ann")
        instant = self.now - timedelta(milliseconds=self.draw.randrange(900))
        run_id = ids.scheduled_run_id(schedule_id, instant)
        match self.draw.randrange(12):
            case 0:
                return e.ScheduleUpdated(**base, spec=spec, made_by="code")
            case 1:
                return e.SchedulePaused(**base, by="bob")
            case 2:
                return e.ScheduleResumed(**base)
            case 3:
                return e.ScheduleRemoved(**base)
            case 4:
                return e.ScheduleDeferred(**base, at_instant=instant, due_at=instant, behind=run_id)
            case 5:
                through = instant + timedelta(seconds=3)
                return e.ScheduleSkipped(
                    **base, at_instant=instant, through=through, count=4, reason="catchup", detail="x"
                )
            case 6:
                fields = ("flow_id", "flow_name", "spec", "made_by", "created_at", "updated_at", "decided_through", "paused",
                          "paused_by", "deferred", "fired", "skipped", "last_fired_at", "last_instant", "last_run_id",
                          "last_late_ms")  # fmt: skip
                return e.ScheduleCondensed(**base, **{field: getattr(known, field) for field in fields})
        backfill = self.draw.random() < 0.2
        return e.ScheduleFired(
            **base,
            run_id=run_id,
            at_instant=instant,
            due_at=instant,
            late_ms=self.count,
            backfill=backfill,
            by="x",
        )


def written(file: Path, messages: list[Message], seed: int) -> Duck:
    duck, draw, place = Duck(file), random.Random(seed), 0
    while place < len(messages):
        projection = Projection()
        restore(projection, duck)
        loader = duck.loader()
        for _ in range(3):
            batch = messages[place : place + draw.choice([1, 4, 50])]
            if batch:
                draft = fold(projection, duck, loader, batch)
                assert draft.failed == []
                duck.write(draft.batch)
                place += len(batch)
        loader.close()
    return duck


def differences(duck: Duck) -> list[str]:
    query = bound(duck.connection.execute)
    compared, left_out, found = check(query, [key for (key,) in query("sampled_schedules", limit=10)])
    assert (compared, left_out) == (len(NAMES), 0)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_the_fold(tmp_path: Path, seed: int) -> None:
    story = Story(seed)
    messages = story.messages(300)
    duck = written(tmp_path / "live.duckdb", messages, seed)
    kept = {row[0]: row for row in duck.load("load_schedules")}
    assert kept == {key: row_of(one) for key, one in story.folds.items() if one is not None}
    assert {key: schedule_of(row) for key, row in kept.items()} == story.folds
    decided = Counter(
        type(codec.decode(message.data)).__name__.removeprefix("Schedule").lower() for message in messages
    )
    counted = dict(
        duck.connection.execute("SELECT decision, count(*) FROM schedule_decisions GROUP BY ALL").fetchall()
    )
    assert counted == {name: decided[name] for name in ("fired", "skipped", "deferred")}
    assert differences(duck) == []
    duck.close()
    outcome = rebuild(tmp_path / "live.duckdb", tmp_path / "rebuilt.duckdb", processes=0)
    assert (outcome.lines, outcome.failed) == ([], 0)


def test_a_stream_that_has_lost_its_end(tmp_path: Path) -> None:
    messages = Story(5).messages(300)
    duck = written(tmp_path / "live.duckdb", messages, 5)
    wanted = written(tmp_path / "wanted.duckdb", messages[:200], 6)
    duck.rewind("DEFS", 200)
    assert sorted(duck.load("load_schedules")) == sorted(wanted.load("load_schedules"))
    everything = [ids.schedule_id(FLOW, name) for name in NAMES]
    assert duck.load("load_schedule_decisions", everything) == wanted.load(
        "load_schedule_decisions", everything
    )
    assert differences(duck) == []
    duck.close()
    wanted.close()


def test_the_proof_notices(tmp_path: Path) -> None:
    duck = written(tmp_path / "live.duckdb", Story(1).messages(120), 1)
    assert differences(duck) == []
    duck.connection.execute("UPDATE schedules SET fired = fired + 1 WHERE name = 'b'")
    assert [text.split(": ")[1].split(" is")[0] for text in differences(duck)] == ["fired"]
    duck.connection.execute("UPDATE schedules SET fired = fired - 1 WHERE name = 'b'")
    duck.connection.execute(
        "DELETE FROM schedule_decisions WHERE seq = (SELECT max(seq) FROM schedule_decisions)"
    )
    assert [text.endswith("has no row") for text in differences(duck)] == [True]
    duck.close()
