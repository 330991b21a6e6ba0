"""The projector's fold into a file and what it keeps in memory, side by side."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from perfect_projector import replies, run_replies
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
