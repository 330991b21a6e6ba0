"""A rebuild folds most runs whole and in other processes; the write loop folds all of them event by event. Both must come
to the same file, whatever was said: here the write loop's own fold makes the file from the stream, as live.
"""

import random
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from said_world import World

from perfect_projector.batch import Message
from perfect_projector.duck import Duck
from perfect_projector.folding import fold, restore
from perfect_projector.project import Projection
from perfect_projector.rebuild import rebuild
from perfect_projector.rebuilding.share import Folder
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, Event, StoredValue

BEGIN = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
ERROR = ErrorInfo(kind="builtins:ValueError", message="no 'luck'")
FLOWS = {"etl": ["extract", "load"], "late": ["fit"], "unknown": ["look"]}
Said = tuple[str, Event]


def live(file: Path, messages: list[Message], draw: random.Random) -> None:
    """What the write loop leaves, which takes batches of any size and is started anew now and then."""
    duck, place = Duck(file), 0
    while place < len(messages):
        projection = Projection()
        restore(projection, duck)
        loader = duck.loader()
        for _ in range(draw.randrange(1, 12)):
            batch = messages[place : place + draw.choice([5, 60, 400])]
            if not batch:
                break
            draft = fold(projection, duck, loader, batch)
            assert draft.failed == []
            duck.write(draft.batch)
            place += len(batch)
        loader.close()
    duck.close()


def stored(said: list[Said]) -> list[Message]:
    """On their streams, in this order."""
    seqs: Counter[str] = Counter()
    messages = []
    for subject, event in said:
        kind = subject.split(".")[2]
        stream = "EVENTS" if kind in ("run", "task") else "DEFS"
        seqs[stream] += 1
        stored_ns = int(event.at.timestamp() * 1e6) * 1000
        messages.append(Message(stream, seqs[stream], subject, codec.encode(event), stored_ns))
    return messages


class Histories:
    """Runs that go on side by side, most of them plain, with anything else said in between."""

    def __init__(self, seed: int, *, oddities: float) -> None:
        self.draw = random.Random(seed)
        self.oddities = oddities
        self.count = 0
        self.begin = BEGIN

    def said(self, runs: int) -> list[Said]:
        going = [self.run(n) for n in range(runs)]
        told = [self.flow("etl")]
        late = self.draw.randrange(20 * runs)
        while going:
            one = self.draw.choice(going[:6])  # six at a time
            told.append(one.pop(0))
            if len(told) == late:
                told.append(self.flow("late"))
            if not one:
                going.remove(one)
        for n, (subject, event) in enumerate(told):
            told[n] = (
                subject,
                msgspec.structs.replace(
                    event, at=BEGIN + timedelta(milliseconds=100 * n + self.draw.randrange(300))
                ),
            )
        return told

    def flow(self, name: str) -> Said:
        flow_id = ids.flow_id(name)
        tasks = [
            e.TaskDefinition(id=ids.task_id(flow_id, task), name=task, weight=2.0 + n)
            for n, task in enumerate(FLOWS[name])
        ]
        return subjects.flow(flow_id), e.FlowRegistered(
            **self.envelope(), flow_id=flow_id, name=name, flow_version="1", tasks=tasks
        )

    def envelope(self, **more: Any) -> dict[str, Any]:
        self.count += 1
        return {"id": ids.uuid7_for(BEGIN, "event", str(self.count)), "at": BEGIN, "source": "test", **more}

    def run(self, number: int) -> list[Said]:
        draw = self.draw
        flow = draw.choice(["etl", "etl", "etl", "late", "unknown"])
        flow_id = ids.flow_id(flow)
        run_id = ids.uuid7_for(BEGIN + timedelta(seconds=number), "run", str(number))
        chance = draw.random
        said: list[Said] = []

        def run_event(kind: type, **fields: Any) -> None:
            said.append((subjects.run(run_id), kind(**self.envelope(run_id=run_id), **fields)))

        def task_event(kind: type, key: str, name: str, **fields: Any) -> None:
            base = {
                "task_run_id": ids.task_run_id(run_id, key), "task_key": key, "task_id": ids.task_id(flow_id, name),
                "name": name, "epoch": 1, "attempt": 1,
            }  # fmt: skip
            known = kind.__struct_fields__
            fields = {field: value for field, value in (base | fields).items() if field in known}
            said.append((subjects.task(run_id), kind(**self.envelope(run_id=run_id), **fields)))

        run_event(
            e.RunScheduled, flow_id=flow_id, flow_name=flow, configuration=draw.choice(["release", "debug"]),
            tags=["é", "b"] if chance() < 0.3 else [], parameters={"n": [1.50, {"x": None}]} if chance() < 0.5 else {},
            due_at=BEGIN + timedelta(minutes=1) if chance() < 0.2 else None,
            parent_run_id=ids.uuid7() if chance() < 0.1 else None,
            fork_of=ids.uuid7() if chance() < 0.05 else None,
        )  # fmt: skip
        for _ in range(draw.choice([0, 1, 1, 1, 2])):
            run_event(e.RunQueued, priority=draw.randrange(3))
        run_event(
            e.RunStarted,
            epoch=1,
            client_id=ids.uuid7(),
            client_name=draw.choice(["", "w"]),
            flow_version=draw.choice([None, "2"]),
        )
        for n in range(draw.randrange(5)):
            name = draw.choice(FLOWS[flow])
            self.task(task_event, f"{name}-{n}", name)
        if chance() < 0.2:
            saved = e.ArtifactSaved(
                **self.envelope(run_id=run_id), artifact_id=ids.uuid7(), kind="markdown", key="k", data=_TEXT
            )
            said += [(subjects.task(run_id), saved), (subjects.task(run_id), saved)]
        end = chance()
        if end < 0.75:
            run_event(
                e.RunCompleted,
                epoch=1,
                duration_ms=draw.randrange(900),
                result=StoredValue() if end < 0.3 else None,
            )
        elif end < 0.9:
            run_event(e.RunFailed, epoch=1, duration_ms=draw.randrange(900), error=ERROR)
        if chance() < 0.1:
            run_event(e.PerformanceWarned, **_WARNED)
        if chance() < 0.1:
            run_event(e.RunArchived)
        return self.odd(said) if chance() < self.oddities else said

    def task(self, say: Any, key: str, name: str) -> None:
        draw = self.draw
        began = draw.random() < 0.9
        if began:
            say(e.TaskStarted, key, name, ordinal=draw.randrange(3), input_digest=draw.choice([None, "ab"]))
        if draw.random() < 0.1:
            say(e.TaskRetrying, key, name, next_at=BEGIN, error=ERROR)
            say(e.TaskStarted, key, name, attempt=2)
        what = draw.random()
        result = StoredValue(
            value=msgspec.Raw(b'{"rows": [1, 2.50, "\xc3\xa9"]}'), size_bytes=draw.randrange(9)
        )
        if what < 0.7:
            attempt = draw.choice([None, 1, 2])
            say(
                e.TaskCompleted,
                key,
                name,
                attempt=attempt,
                duration_ms=draw.randrange(5000),
                result=draw.choice([None, result]),
            )
        elif what < 0.8:
            say(e.TaskFailed, key, name, duration_ms=7, error=ERROR)
        elif what < 0.85:
            say(e.TaskCached, key, name, cache_key="k", result=result)
        elif what < 0.9:
            say(e.TaskSkipped, key, name, reason="not today")
        if draw.random() < 0.1:
            say(e.PerformanceWarned, key, name, **_WARNED)

    def odd(self, said: list[Said]) -> list[Said]:
        """Something of it is left out, said twice, said elsewhere, or in another epoch; or something else is said."""
        draw, said = self.draw, list(said)
        run_id = said[0][1].run_id or ""
        for _ in range(draw.randrange(1, 4)):
            if len(said) < 2:
                break
            place = draw.randrange(1, len(said))  # nobody can say twice that a run exists
            subject, event = said[place]
            what = draw.randrange(6)
            if what == 0:
                del said[place]
            elif what == 1:
                said.insert(draw.randrange(place, len(said)) + 1, (subject, event))
            elif what == 2:
                said.insert(draw.randrange(1, len(said)), said.pop(place))
            elif what == 3:
                said[place] = (subject, msgspec.structs.replace(event, epoch=draw.choice([None, 0, 1, 2, 3])))
            else:
                kind, fields = draw.choice(_OTHERS)
                other = kind(**self.envelope(run_id=run_id), **fields)
                said.insert(place + 1, (subjects.run(run_id), other))
        return said


_TEXT = StoredValue(value=msgspec.Raw(b'"# a"'))
_WARNED: dict[str, Any] = {
    "rule": "absolute", "severity": "warning", "message": "5.0s (3.0× the 1.6s avg)", "duration_ms": 5000,
    "avg_duration_ms": 1666.5,
}  # fmt: skip
_OTHERS: list[tuple[type, dict[str, Any]]] = [
    (e.RunStarted, {"epoch": 2, "client_id": ids.uuid7()}),
    (e.RunSuspended, {"waits_for": "input", "key": "pause-0"}),
    (e.RunResumed, {}),
    (e.RunRetrying, {"tries": 1, "due_at": BEGIN, "error": ERROR}),
    (e.RunLost, {"client_id": ids.uuid7(), "reason": "its lease ended"}),
    (e.RunPausing, {"by": "ann"}),
    (e.RunNamed, {"name": "monday"}),
    (e.RunCancelling, {"by": "ann"}),
    (e.RunCancelled, {}),
    (e.RunRetried, {"by": "ann"}),
    (e.RunCrashed, {"reason": "gone"}),
    (e.RunCompleted, {"epoch": 1, "duration_ms": 5}),
    (e.RunFailed, {"epoch": 1, "duration_ms": 5, "error": ERROR}),
]


class Counted(Folder):
    """plain: how many runs were folded whole."""

    plain = others = 0

    def fold(self, share: Any) -> Any:
        folded = super().fold(share)
        Counted.others += len(folded.others)
        Counted.plain += len(msgspec.msgpack.decode(folded.courses))
        return folded


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    monkeypatch.setattr("perfect_projector.rebuilding.refill.Folder", Counted)
    Counted.plain = Counted.others = 0
    return Counted


def check(file: Path, scratch: Path, **how: Any) -> None:
    outcome = rebuild(file, scratch, **how)
    assert (outcome.lines, outcome.differences, outcome.failed) == ([], {}, 0)
    with duckdb.connect(str(scratch), read_only=True) as made:
        assert made.execute("SELECT count(*) FROM runs").fetchone() != (0,)


@pytest.mark.parametrize("seed", range(3))
def test_plain_runs(tmp_path: Path, counted: type[Counted], seed: int) -> None:
    file = tmp_path / "live.duckdb"
    live(file, stored(Histories(seed, oddities=0).said(100)), random.Random(seed))
    check(file, tmp_path / "rebuilt.duckdb", processes=0, share_events=400)
    assert counted.plain > 60
    assert counted.others > 5


@pytest.mark.parametrize("seed", range(100, 106))
def test_anything_in_between(tmp_path: Path, seed: int) -> None:
    live(tmp_path / "live.duckdb", stored(Histories(seed, oddities=0.7).said(80)), random.Random(seed))
    check(tmp_path / "live.duckdb", tmp_path / "rebuilt.duckdb", processes=0, share_events=400)


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(
    seed=st.integers(0, 10**6),
    runs=st.integers(1, 30),
    oddities=st.sampled_from([0.0, 0.3, 1.0]),
    share_events=st.integers(1, 300),
)
def test_any_shares(seed: int, runs: int, oddities: float, share_events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "live.duckdb"
        live(file, stored(Histories(seed, oddities=oddities).said(runs)), random.Random(seed))
        check(file, Path(folder) / "rebuilt.duckdb", processes=0, share_events=share_events)


def test_in_other_processes(tmp_path: Path) -> None:
    file = tmp_path / "live.duckdb"
    live(file, stored(Histories(7, oddities=0.3).said(120)), random.Random(7))
    told: list[int] = []
    check(file, tmp_path / "rebuilt.duckdb", processes=2, share_events=400, tell=told.append)
    assert told == sorted(told)
    assert len(told) > 2
    assert not list(tmp_path.glob("*.parts"))


def test_every_outcome(tmp_path: Path) -> None:
    """Said by the world of the other tests of the projector."""
    world = World(Tape(), seed=11)  # type: ignore[arg-type]
    world.register()
    client = world.client()
    for _ in range(120):
        world.run(client)
    file = tmp_path / "live.duckdb"
    live(file, world.bus.messages, random.Random(11))  # type: ignore[attr-defined]
    check(file, tmp_path / "rebuilt.duckdb", processes=0, share_events=150)


class Tape:
    """In the place of a connection: what is put is kept, numbered by stream."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.last: Counter[str] = Counter()
        self.outbox = self

    def put(self, subject: str, data: bytes, _id: str) -> None:
        stream = {"log": "LOGS", "run": "EVENTS", "task": "EVENTS"}.get(subject.split(".")[-2], "DEFS")
        self.last[stream] += 1
        stored_ns = int(BEGIN.timestamp()) * 10**9
        self.messages.append(Message(stream, self.last[stream], subject, data, stored_ns))
