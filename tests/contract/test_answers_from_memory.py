"""What is kept in memory answers as the file does: after every commit, of whatever runs there are."""

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from perfect_projector import replies, run_replies, run_text
from perfect_projector.batch import Message
from perfect_projector.duck import Duck
from perfect_projector.folding import fold
from perfect_projector.front import Front
from perfect_projector.project import Draft, Projection
from perfect_projector.rollup import GROWTH
from perfect_schemas import events as e
from perfect_schemas import ids, queries, subjects
from perfect_schemas.codec import encode
from perfect_schemas.envelope import ErrorInfo, utc_now

FLOWS = ["etl", "report", "never said"]
TASKS = 3
ACTIVE = ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]
PROBLEM = ["FAILED", "CRASHED"]
ROLLED = (Path(__file__).parent.parent / "support" / "rolled.sql").read_text()


def plain(value: Any) -> Any:
    """As JSON, with nine digits of each number: sums are not always added in the same order."""

    def rounded(value: Any) -> Any:
        match value:
            case float():
                return float(f"{value:.9g}")
            case dict():
                return {key: rounded(one) for key, one in value.items()}
            case list():
                return [rounded(one) for one in value]
        return value

    return rounded(msgspec.json.decode(encode(value)))


def middle(place: int, least: float, greatest: float) -> float:
    return min(max(GROWTH ** (place - 0.5) if place else 0.0, least), greatest)


class World:
    """Messages of runs, as the streams would bring them, through the projector's own fold into a file."""

    def __init__(self, folder: Path) -> None:
        self.duck = Duck(folder / "perfect.duckdb")
        self.projection = Projection()
        self.front = Front()
        self.loader = self.duck.loader()
        self.reader = self.duck.reader()
        self.now = utc_now() - timedelta(hours=26)
        self.epochs: dict[str, int] = {}
        self.flow_of: dict[str, str] = {}
        self._seq = 0
        self._waiting: list[Message] = []
        for name in FLOWS[:2]:
            flow_id = ids.flow_id(name)
            tasks = [e.TaskDefinition(id=ids.task_id(flow_id, f"t{n}"), name=f"t{n}") for n in range(TASKS)]
            self.say(subjects.flow(flow_id), e.FlowRegistered, stream="DEFS", flow_id=flow_id, name=name,
                     flow_version="1", tasks=tasks)  # fmt: skip
        self.commit()
        self.front.load(self.duck)

    def close(self) -> None:
        for one in (self.reader, self.loader, self.duck):
            one.close()

    def say(self, subject: str, kind: type, *, stream: str = "EVENTS", **fields: Any) -> None:
        self.now += timedelta(milliseconds=7)
        event = kind(id=ids.uuid7_for(self.now, str(self._seq)), at=self.now, source="test", **fields)
        self._seq += 1
        stored_ns = int(self.now.timestamp() * 1e6) * 1000
        self._waiting.append(Message(stream, self._seq, subject, encode(event), stored_ns))

    def commit(self) -> None:
        """What has been said, in one batch."""
        if (draft := self.write()) is not None:
            self.front.note(draft)

    def write(self) -> Draft | None:
        """Into the file alone: the front is told afterwards."""
        messages, self._waiting = self._waiting, []
        if not messages:
            return None
        draft = fold(self.projection, self.duck, self.loader, messages)
        assert not draft.failed
        self.duck.write(draft.batch)
        return draft

    def run(self, run_id: str, kind: type, **fields: Any) -> None:
        self.say(subjects.run(run_id), kind, run_id=run_id, **fields)

    def begin(self, flow: str, tags: list[str], configuration: str) -> str:
        run_id = ids.uuid7_for(self.now, str(self._seq), flow)
        self.flow_of[run_id] = ids.flow_id(flow)
        self.epochs[run_id] = 0
        self.run(run_id, e.RunScheduled, flow_id=ids.flow_id(flow), flow_name=flow, tags=tags,
                 configuration=configuration, parameters={"expected_ms": None, "n": self._seq})  # fmt: skip
        return run_id

    def start(self, run_id: str) -> None:
        self.epochs[run_id] += 1
        self.run(run_id, e.RunQueued)
        self.run(run_id, e.RunStarted, epoch=self.epochs[run_id], client_id=ids.uuid7_for(self.now, "w"),
                 client_name="w")  # fmt: skip

    def task(self, run_id: str, n: int, duration_ms: int) -> None:
        key = f"t{n}-0"
        base = {"task_run_id": ids.task_run_id(run_id, key), "task_key": key, "epoch": self.epochs[run_id],
                "task_id": ids.task_id(self.flow_of[run_id], f"t{n}"), "name": f"t{n}", "attempt": 1,
                "flow_version": "1"}  # fmt: skip
        self.say(subjects.task(run_id), e.TaskStarted, run_id=run_id, **base)
        self.say(subjects.task(run_id), e.TaskCompleted, run_id=run_id, duration_ms=duration_ms, **base)

    def end(self, run_id: str, kind: type, duration_ms: int) -> None:
        error = {"error": ErrorInfo(kind="x:E", message="no")} if kind is e.RunFailed else {}
        took = {} if kind is e.RunCancelled else {"duration_ms": duration_ms}
        self.run(run_id, kind, epoch=self.epochs[run_id], **took, **error)

    def warn(self, run_id: str) -> None:
        self.run(run_id, e.PerformanceWarned, rule="sigma", severity="warning", message=f"slow {self._seq}",
                 duration_ms=5, avg_duration_ms=1.0)  # fmt: skip

    # -- what is compared

    def check(self) -> None:
        self.check_runs()
        known = self.front.answer(queries.FlowList(hidden=True))
        assert known is not None
        assert plain(known) == plain(replies.flows(self.reader, queries.FlowList(hidden=True)))
        counted, truth = (
            self.front.answer(queries.Summary()), replies.summary(self.reader, queries.Summary())
        )  # fmt: skip
        assert counted == truth
        for name in FLOWS[:2]:
            query = queries.FlowDetail(flow=name)
            flow = replies.with_statistics(self.reader, self.front.flow(query), self.front.rolls)
            assert plain(flow) == plain(replies.flow(self.reader, query))
        for by in (None, "configuration", "flow_version", "day"):
            query = queries.Statistics(by=by)
            kept = replies.statistics(self.reader, query, self.front.rolls)
            assert plain(kept) == plain(replies.statistics(self.reader, query))
        for since, today in (
            (date.min, self.now.date()),
            (self.now.date(), self.now.date() + timedelta(days=1)),
        ):
            self.check_rolls(since, today)

    def check_rolls(self, since: date, today: date) -> None:
        """Against one statement over all days."""
        for by in (None, "configuration", "day"):
            found = self.front.rolls.all(self.reader, {}, since, today, by=by)
            rows = self.reader.execute(ROLLED, {"by": by or "", "since": since, "from": date.min}).fetchall()
            assert found.keys() == {row[:3] for row in rows}
            for key, measure, part, _, _, mean, m2, count, least, greatest, last_day, *places in rows:
                one = found[key, measure, part]
                summary = one.summary
                assert (summary.count, summary.min, summary.max) == (count, least, greatest)
                assert one.last_day == last_day
                assert summary.mean == pytest.approx(mean, rel=1e-9)
                assert summary.m2 == pytest.approx(m2, rel=1e-9, abs=1e-6)
                wanted = [None if place is None else middle(place, least, greatest) for place in places]
                assert list(one.percentiles()) == wanted

    def check_runs(self) -> None:
        etl = ids.flow_id("etl")
        pages = [{}, {"flow": "etl"}, {"flow": etl, "state": PROBLEM}, {"state": ACTIVE}, {"tag": "a"},
                 {"configuration": "release", "text": "por"}, {"sort": "duration"}, {"text": "B"},
                 {"until": self.now - timedelta(minutes=90)}, {"text": ids.uuid7_for(self.now, "0")[:11]}]  # fmt: skip
        for filters in pages:
            cursor = None
            while True:
                cursor = self.check_page(self.reader, queries.RunPage(limit=4, cursor=cursor, **filters))
                if cursor is None:
                    break

    def check_page(self, reader: Any, query: queries.RunPage) -> str | None:
        """Returns the cursor of the next page."""
        kept, truth = self.front.runs.page(reader, query), run_replies.runs(reader, query)
        found = [msgspec.json.decode(bytes(run)) for run in kept.runs]
        wanted = [msgspec.json.decode(encode(run)) for run in truth.runs]
        for one in [*found, *wanted]:  # these depend on the time
            for name in ("eta_p50", "eta_p90"):
                one[name] = one[name] is None
        assert (found, kept.next) == (wanted, truth.next)
        return truth.next


step = st.tuples(
    st.sampled_from(
        ["begin", "task", "task", "complete", "fail", "cancel", "warn", "retry", "archive", "sleep", "commit"]
    ),
    st.integers(0, 10**6),
)


@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(steps=st.lists(step, min_size=10, max_size=50))
def test_memory_says_what_the_file_says(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            _live(world, steps)
        finally:
            world.close()


def _live(world: World, steps: list[tuple[str, int]]) -> None:
    runs: list[str] = []
    for kind, number in steps:
        some = runs[number % len(runs)] if runs else None
        match kind:
            case "begin":
                tags = [["a"], ["a", "b"], []][number % 3]
                runs.append(world.begin(FLOWS[number % 2], tags, "release" if number % 2 else "development"))
                world.start(runs[-1])
            case "sleep":
                world.now = min(world.now + timedelta(minutes=number % 120), utc_now())
            case "commit":
                world.commit()
                if world.front.answer(queries.Summary()) is None:
                    world.front.load(world.duck)
                world.check()
            case _ if some is None:
                continue
            case "retry":
                world.run(some, e.RunRetried, by="somebody")
                world.start(some)
            case "archive":
                world.run(some, e.RunArchived)
            case "task":
                world.task(some, number % TASKS, number % 5000)
            case "warn":
                world.warn(some)
            case _:
                ends = {"complete": e.RunCompleted, "fail": e.RunFailed, "cancel": e.RunCancelled}
                if world.epochs[some]:
                    world.end(some, ends[kind], number % 9000)
    world.commit()
    if world.front.answer(queries.Summary()) is None:
        world.front.load(world.duck)
    world.check()


def test_what_was_shown_and_changes_is_shown_anew(tmp_path: Path) -> None:
    """Runs that have ended, over two days: warned of, tried again, archived."""
    world = World(tmp_path)
    try:
        runs = []
        for day in (world.now, utc_now() - timedelta(seconds=5)):
            world.now = day
            for n in range(6):
                runs.append(world.begin(FLOWS[n % 2], ["a"], "release"))
                world.start(runs[-1])
                world.task(runs[-1], n % TASKS, 100 * n)
                world.end(runs[-1], e.RunFailed if n == 5 else e.RunCompleted, 700 * n)
            for _ in range(2):  # the second time all of it is kept
                world.commit()
                world.check()
        world.warn(runs[6])
        world.commit()
        world.check()
        world.run(runs[-1], e.RunRetried, by="somebody")
        world.start(runs[-1])
        world.commit()
        world.check()
        world.task(runs[-1], 2, 4000)
        world.end(runs[-1], e.RunCompleted, 5000)
        world.run(runs[5], e.RunArchived)
        world.commit()
        world.check()
        world.now = utc_now() - timedelta(hours=25)  # a worker whose clock is behind
        late = world.begin("etl", [], "release")
        world.start(late)
        world.end(late, e.RunCompleted, 8000)
        world.commit()
        world.check()
        assert world.front.answer(queries.Summary()) is not None
    finally:
        world.close()


@contextmanager
def as_of_now(reader: Any) -> Iterator[None]:
    reader.execute("BEGIN TRANSACTION READ ONLY")
    try:
        reader.execute("SELECT seq FROM consumer_offsets").fetchall()  # it reads what is there from here on
        yield
    finally:
        reader.execute("ROLLBACK")


def test_a_reader_sees_its_own_snapshot_whatever_is_committed_beside_it(tmp_path: Path) -> None:
    """What the front was told is newer than a transaction that was open before, and older than one that began between
    the commit and the telling.
    """
    world = World(tmp_path)
    query = queries.RunPage(limit=20)
    ready, done = threading.Barrier(2, timeout=20), threading.Barrier(2, timeout=20)

    def read(steps: int) -> None:
        reader = world.duck.reader()
        for _ in range(steps):
            with as_of_now(reader):
                ready.wait()  # the writer writes, or tells, meanwhile
                done.wait()
                world.check_page(reader, query)
                world.check_page(reader, query)
        reader.close()

    try:
        runs = [world.begin(FLOWS[n % 2], ["a"], "release") for n in range(4)]
        for run_id in runs:
            world.start(run_id)
        world.commit()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read, 8)
            for n in range(4):
                ready.wait()  # a snapshot is open: commit, and tell
                world.task(runs[n], 0, 10)
                world.commit()
                done.wait()
                world.task(runs[n], 1, 10)
                world.end(runs[n], e.RunCompleted, 50)
                draft = world.write()  # a snapshot after the commit, before anybody is told
                ready.wait()
                done.wait()
                assert draft is not None
                world.front.note(draft)
            reading.result(timeout=20)
        world.check()
    finally:
        world.close()


def test_readers_beside_a_writer_say_what_their_snapshots_say(tmp_path: Path) -> None:
    world = World(tmp_path)
    stop = threading.Event()

    def read() -> int:
        reader, pages = world.duck.reader(), 0
        while not stop.is_set() or pages == 0:
            for query in (queries.RunPage(limit=9), queries.RunPage(state=ACTIVE), queries.RunPage(text="A")):
                with as_of_now(reader):
                    world.check_page(reader, query)
                pages += 1
        reader.close()
        return pages

    try:
        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(read) for _ in range(2)]
            try:
                runs: list[str] = []
                for n in range(60):
                    runs.append(world.begin(FLOWS[n % 2], ["a"] if n % 3 else ["b"], "release"))
                    world.start(runs[-1])
                    world.task(runs[max(n - 1, 0)], n % TASKS, 10)
                    if n > 2:
                        world.end(runs[n - 2], e.RunFailed if n % 5 == 0 else e.RunCompleted, 70)
                    world.commit()
            finally:
                stop.set()
            assert all(one.result(timeout=20) > 0 for one in reading)
        world.check()
    finally:
        world.close()


def test_a_text_is_found_in_names_and_tags_and_at_the_ends_of_the_id(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        first = world.begin("etl", ["Nightly", "deadbeef"], "release")
        second = world.begin("report", [], "release")
        world.run(second, e.RunQueued)
        world.commit()

        def found(text: str) -> set[str]:
            query = queries.RunPage(text=text)
            world.check_page(world.reader, query)
            return {run.id for run in run_replies.runs(world.reader, query).runs}

        assert found("REP") == {second}
        assert found("night") == found("EADBEE") == {first}
        for text in (first, first.upper(), first[-8:], first[-13:], first.replace("-", ""), first[24:]):
            assert found(text) == {first}
        assert found(first[:8]) == found(first[:9]) == {first, second}  # made within the same minute
        assert found(first[10:17]) == set()  # neither its beginning nor its end
        assert found("ffff-") == found("-") == found("'%") == set()
        later = world.begin("etl", ["nightly build"], "release")
        world.commit()
        assert found("night") == {first, later}
        world.now = utc_now() - timedelta(minutes=1)
        for n in range(4):
            world.begin(FLOWS[n % 2], ["weekly"], "release")
        world.commit()
        for text in ("etl", "report", "ekly"):  # one page is full with what is close by, the next is not
            cursor = world.check_page(world.reader, queries.RunPage(text=text, limit=1))
            world.check_page(world.reader, queries.RunPage(text=text, limit=1, cursor=cursor))
        assert len(found("etl")) == 4
    finally:
        world.close()


def test_too_many_tags_to_be_known_are_found_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_text, "MOST_TAGS", 3)
    world = World(tmp_path)
    try:
        runs = [world.begin("etl", [f"tag {n}"], "release") for n in range(5)]
        world.commit()
        for _ in range(2):
            found = world.front.runs.page(world.reader, queries.RunPage(text="tag 2"))
            assert [msgspec.json.decode(bytes(run))["id"] for run in found.runs] == [runs[2]]
    finally:
        world.close()
