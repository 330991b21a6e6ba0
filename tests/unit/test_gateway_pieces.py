"""The pure parts of the gateway."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from litestar.exceptions import NotFoundException, ValidationException

from perfect_gateway import metrics, shapes
from perfect_gateway.api.health import system_health
from perfect_gateway.api.logs import LogBody, lines_of
from perfect_gateway.api.runs import TriggerBody, states
from perfect_gateway.facts import facts_of
from perfect_gateway.folded import active_of, run_of
from perfect_gateway.live import topics
from perfect_gateway.live.board import LiveRun
from perfect_gateway.live.feed import frame
from perfect_gateway.live.log_tail import MOST_LINES, log_messages
from perfect_gateway.live.pace import GATHER_S, Pace, Pacer
from perfect_gateway.live.position import Position
from perfect_gateway.live.subscriber import Subscriber
from perfect_gateway.log_filter import LogFilter, level_number
from perfect_gateway.outermost import foreign, host_name
from perfect_gateway.pages.flows import form_problems, submitted_tags
from perfect_gateway.problems import invalid, problem_of
from perfect_schemas import events
from perfect_schemas.commands import Health
from perfect_schemas.errors import FieldError, InvalidInput, ServiceUnavailable
from perfect_schemas.folds.history import fold
from perfect_schemas.views import FlowView, StatisticsView, StatisticView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "01900000-0000-7000-8000-000000000001"
FLOW = "f1f1f1f1-0000-5000-8000-000000000001"


# -- positions and pacing


def test_position() -> None:
    assert Position.parse(" 12.34 ") == Position(12, 34)
    assert str(Position(12, 34)) == "12.34"
    for text in ("", "12", "12.", "a.b", "-1.2", "1.2.3", "9" * 30 + ".1"):
        assert Position.parse(text) is None


def test_pace() -> None:
    pace = Pace()
    assert pace.delay("a", 0.25, 10.0) == GATHER_S
    pace.drawn("a", 10.0)
    assert pace.delay("a", 0.25, 10.1) == pytest.approx(0.15)
    assert pace.delay("a", 0.25, 11.0) == GATHER_S
    assert pace.delay("b", 0.25, 10.1) == GATHER_S
    for n in range(5000):
        pace.drawn(n, 20.0 + n)
    assert len(pace._last) < 2000  # what was drawn long ago is forgotten


async def test_pacer_draws_once_for_many_and_always_the_last() -> None:
    drawn: list[Any] = []
    done = asyncio.Event()
    state = {"a": 0}

    def draw(key: Any) -> None:
        drawn.append((key, state["a"]))
        if state["a"] == 199:
            done.set()

    pacer = Pacer(draw)
    for n in range(200):
        state["a"] = n
        pacer.ask("a", 0.05)
        if n == 100:
            await asyncio.sleep(0.03)
    await asyncio.wait_for(done.wait(), 2)
    assert len(drawn) <= 3
    assert drawn[-1] == ("a", 199)
    pacer.ask("a", 10)
    pacer.close()


# -- queues


async def test_subscriber_drops_all_and_says_so() -> None:
    subscriber = Subscriber(ping=b"ping", overflow=b"resync", max_frames=3)
    for n in range(10):
        subscriber.push(b"%d" % n)
    frames = subscriber.frames()
    assert await anext(frames) == b"resync"
    subscriber.push(b"a")
    subscriber.push(b"b")
    assert await anext(frames) == b"ab"
    subscriber.close()
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_silent_subscriber_ends_at_an_overflow() -> None:
    subscriber = Subscriber(ping=b"ping", overflow=None, max_bytes=10)
    subscriber.push(b"12345678")
    subscriber.push(b"12345678")
    assert subscriber.overflowed
    with pytest.raises(StopAsyncIteration):
        await anext(subscriber.frames())
    subscriber.reset()
    subscriber.push(b"x")
    assert await anext(subscriber.frames()) == b"x"


async def test_subscriber_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfect_gateway.live.subscriber.PING_S", 0.01)
    assert await anext(Subscriber(ping=b"ping", overflow=None).frames()) == b"ping"


def test_frames_are_one_line() -> None:
    assert frame(b'{"a":\n 1}', Position(1, 2)) == b'id: 1.2\ndata: {"a":  1}\n\n'


def batch(count: int, **line: object) -> events.LogBatch:
    one = events.LogLine(at=NOW, **{"level": 20, "message": "x", **line})
    return events.LogBatch(id="1", at=NOW, source="t", run_id=RUN, lines=[one] * count)


def test_log_messages_are_bounded_and_of_a_flood_the_newest() -> None:
    found = log_messages([(seq, batch(200)) for seq in range(1, 8)], LogFilter())
    assert [(html.count("data-seq="), through) for html, through in found] == [(600, 3), (600, 6), (200, 7)]
    flood = log_messages([(seq, batch(1000)) for seq in range(1, 6)], LogFilter())
    assert sum(html.count("data-seq=") for html, _ in flood) == MOST_LINES
    assert 'data-skipped="3000"' in flood[0][0]
    assert "data-skipped" not in "".join(html for html, _ in flood[1:])
    assert log_messages([], LogFilter()) == []


def test_log_messages_have_what_the_filter_keeps() -> None:
    batches = [(1, batch(2)), (2, batch(3, level=40, message="the Disk", task_key="copy-2"))]
    ((html, _),) = log_messages(batches, LogFilter.of("WARNING", "disk", "copy"))
    assert html.count("data-seq=") == 3
    assert html.count("<mark>Disk</mark>") == 3
    assert log_messages(batches, LogFilter(text="nothing of it")) == []


@pytest.mark.parametrize(
    ("wanted", "line", "kept"),
    [
        (LogFilter(level=30), {"level": 29}, False),
        (LogFilter(level=30), {"level": 30}, True),
        (LogFilter(text="ERROR"), {"message": "\x1b[31mer\x1b[1mror\x1b[0m"}, True),
        (LogFilter(text="31m"), {"message": "\x1b[31mer"}, False),
        (LogFilter(text=".*"), {"message": "anything"}, False),
        (LogFilter(task="a-1"), {"task_key": "a-1"}, True),
        (LogFilter(task="a"), {"task_key": "a-1"}, True),
        (LogFilter(task="a-1"), {"task_key": "a-10"}, False),
        (LogFilter(task="a"), {"task_key": "a-b-1"}, False),
        (LogFilter(task="a"), {}, False),
    ],
)
def test_a_log_filter(wanted: LogFilter, line: dict[str, object], kept: bool) -> None:
    assert wanted.keeps(batch(1, **line).lines[0]) is kept


def test_a_log_filter_travels_in_its_topic() -> None:
    wanted = LogFilter.of("warn", "a, b & c", "copy-2")
    topic = wanted.topic(RUN)
    assert topics.parse(f"run:{RUN},{topic}") == {f"run:{RUN}", topic}
    assert LogFilter.parse(topics.part(topic)[1]) == wanted
    assert LogFilter().topic(RUN) == f"logs:{RUN}"


def test_who_hears_a_part_of_a_topic_hears_the_topic() -> None:
    audience = topics.Audience()
    reader = Subscriber(ping=b"", overflow=None)
    heard = frozenset({f"logs:{RUN}?q=x", "schedules"})
    audience.add(reader, heard)
    assert audience.has(f"logs:{RUN}")
    assert audience.parts(f"logs:{RUN}") == [f"logs:{RUN}?q=x"]
    assert audience.parts("schedules") == ["schedules"]
    audience.remove(reader, heard)
    assert not audience.has(f"logs:{RUN}")
    assert audience.parts("schedules") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "run:",
        "run:1",
        "flow:../x",
        "runs?q=x",
        f"logs:{RUN}?level=loud",
        "schedules?after=x",
        ",".join(["runs"] + ["x"] * 30),
    ],
)
def test_topics_that_there_are_not(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        topics.parse(text)
    assert error.value.errors[0].field in ("topics", "level", "after")


def test_topics() -> None:
    assert topics.parse(f"runs, flows,run:{RUN}") == {"runs", "flows", f"run:{RUN}"}


# -- folds


def make_facts(counts: dict[str, float] | None = None) -> Any:
    def statistic(key: str, name: str | None, samples: int) -> StatisticView:
        return StatisticView(
            id=key,
            flow_name="f",
            task_name=name,
            avg_duration_ms=500.0,
            m2=0.0,
            std_dev_ms=None,
            sample_count=samples,
            min_duration_ms=1,
            max_duration_ms=2,
            last_updated=NOW,
        )

    flow = FlowView(
        id=FLOW,
        name="f",
        description="",
        tags=[],
        version="1",
        tasks=[
            events.TaskDefinition(id="a", name="a", weight=3, estimated_time=100),
            events.TaskDefinition(id="b", name="b", estimated_time=200),
        ],
        parameters={},
        schedules=[],
        statistics=statistic(FLOW, None, 2),
        expected_counts=counts or {},
    )
    return facts_of(flow, StatisticsView(tasks=[statistic("a", "a", 3), statistic("b", "b", 2)], flows=[]))


def history(*more: events.Event) -> Any:
    said = [
        events.RunScheduled(id="1", at=NOW, source="t", run_id=RUN, flow_id=FLOW, flow_name="f"),
        events.RunStarted(id="2", at=NOW, source="t", run_id=RUN, epoch=1, client_id="c"),
        *more,
    ]
    return fold(enumerate(said, 1))


def task(kind: type, key: str, **fields: Any) -> Any:
    return kind(
        id=key,
        at=NOW,
        source="t",
        run_id=RUN,
        epoch=1,
        task_run_id=key,
        task_key=key,
        task_id=key[0],
        name=key[0],
        **fields,
    )


def test_expectations_come_from_history_first() -> None:
    facts = make_facts()
    assert facts.expected_ms == {"a": 500.0, "b": 200.0}
    assert facts.run_expected_ms is None  # two samples are too few


def test_a_live_run() -> None:
    facts = make_facts({"b": 3.0})
    folded = history(
        task(events.TaskStarted, "a-0"),
        task(events.TaskCompleted, "a-0", duration_ms=5),
        task(events.TaskStarted, "b-0"),
    )
    run = run_of(folded, facts)
    assert run is not None
    assert (run.progress, run.tasks_done, run.tasks_total) == (50.0, 1, 4)
    assert [(task["share"], task["expected_ms"]) for task in active_of(folded, facts)] == [(1 / 6, 200.0)]
    assert run_of(fold([]), facts) is None


def test_the_end_of_every_open_row_is_drawn() -> None:
    run = LiveRun()
    run.history = history(*(task(events.TaskStarted, f"a-{n}") for n in range(500)))
    run.changed = set(run.history.tasks)
    assert [life.key for life in run.take_changed()] == [f"a-{n}" for n in range(200, 500)]
    end_backwards(run, 500)
    drawn = {life.key for life in run.take_changed()}
    assert drawn == {f"a-{n}" for n in (*range(300), *range(200, 500))}
    assert run.open == set()
    assert run.take_changed() == []


def test_of_a_large_run_few_rows_are_drawn() -> None:
    """Those that pages list."""
    run = LiveRun()
    run.history = history(*(task(events.TaskStarted, f"a-{n}") for n in range(2000)))
    run.begin()
    assert run.open == {f"a-{n}" for n in range(500)}
    run.changed = {f"a-{n}" for n in range(400, 2000)}
    assert {life.key for life in run.take_changed()} == {f"a-{n}" for n in range(400, 500)}
    end_backwards(run, 2000)
    drawn = {life.key for life in run.take_changed()}
    assert drawn == {f"a-{n}" for n in range(500)}
    assert run.open == set()


def end_backwards(run: LiveRun, count: int) -> None:
    for n in range(count):
        ended = task(events.TaskCompleted, f"a-{n}", duration_ms=1)
        run.changed |= {life.key for life in run.history.apply(ended, 5000 + count - n)}


def test_shapes() -> None:
    error = {"kind": "builtins:ValueError", "message": "no"}
    assert shapes.error_shape(error) == {"type": "ValueError", "message": "no", "traceback": ""}
    assert shapes.error_shape(None) is None
    assert shapes.line_number(7, 3) > shapes.line_number(6, 99_999)
    for run, expected in (
        ({"state": "RUNNING"}, ["cancel", "pause"]),
        ({"state": "CANCELLING"}, []),
        ({"state": "PAUSED", "waits_for": "sleep"}, ["cancel"]),
        ({"state": "PAUSED", "waits_for": "input"}, ["cancel", "resume"]),
        ({"state": "COMPLETED"}, ["fork"]),
        ({"state": "FAILED"}, ["retry", "fork"]),
        ({"state": "FAILED", "origin": "child"}, []),
    ):
        assert shapes.actions(run) == expected


# -- problems


def test_problem_of() -> None:
    def of(error: Exception) -> Any:
        return problem_of(error, method="GET", path="/x")

    assert of(ServiceUnavailable("nobody")).status == 503
    assert of(NotFoundException()).detail == "there is nothing at /x; the routes are listed at /schema"
    inner = of(RuntimeError("the password is hunter2"))
    assert inner.status == 500
    assert "hunter2" not in inner.detail
    wrong = of(ValidationException("bad", extra=[{"key": "limit", "message": "too big"}]))
    assert (wrong.status, wrong.errors) == (422, [FieldError("limit", "too big")])


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        (b'{"configuration":"x"}', "configuration", "Invalid enum value 'x'"),
        (b'{"tags":[1]}', "tags[0]", "Expected str, got int"),
        (b'{"paramters":{}}', "paramters", "is not known"),
        (b"[]", "", "Expected object, got array"),
    ],
)
def test_invalid_names_the_field(body: bytes, field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(body, type=TriggerBody)
    found = invalid(error.value)
    assert found.errors == [FieldError(field, message)]


def test_form_problems() -> None:
    error = InvalidInput(
        "x",
        [FieldError("parameters.day", "no"), FieldError("parameters.o.in", "no"), FieldError("tags", "no")],
    )
    assert form_problems(error) == [
        {"field": "day", "message": "no"},
        {"field": "o", "message": "in: no"},
        {"field": "tags", "message": "no"},
    ]
    assert form_problems(InvalidInput("all wrong")) == [{"field": "", "message": "all wrong"}]
    assert submitted_tags(" a, b,,a ") == ["a", "b"]


# -- requests


def test_host_name() -> None:
    assert host_name("LOCALHOST:3000") == "localhost"
    assert host_name("[::1]:3000") == "[::1]"
    assert host_name("") == ""


def test_foreign() -> None:
    host = {b"host": b"localhost:3000"}
    assert foreign("GET", {b"origin": b"https://evil"}) is None
    assert foreign("POST", host) is None
    assert foreign("POST", host | {b"origin": b"http://localhost:3000"}) is None
    assert foreign("POST", host | {b"origin": b"http://localhost:3001"}) == "http://localhost:3001"
    assert foreign("POST", host | {b"sec-fetch-site": b"cross-site"}) == "cross-site"


def test_lines() -> None:
    body = msgspec.convert({"logs": ["a", {"message": "b", "level": "error"}], "level": 30}, LogBody)
    assert [(line.message, line.level) for line in lines_of(body, NOW)] == [("a", 30), ("b", 40)]
    assert level_number("Warn") == 30
    for level in ("loud", -1, 101):
        with pytest.raises(InvalidInput):
            level_number(level)
    with pytest.raises(InvalidInput, match="is required"):
        lines_of(LogBody(), NOW)


def test_states() -> None:
    assert states(["problem", "FAILED"]) == ["FAILED", "CRASHED"]
    assert "COMPLETED" not in states(["active"])


def test_health_and_metrics() -> None:
    services = [
        Health(name="engine", status="ready", lag=3, lag_ms=1500, metrics={"live_runs": 2}),
        Health(name='pro"jector', status="degraded"),
    ]
    assert system_health(services[:1]).status == "ready"
    assert system_health(services).status == "degraded"
    text = metrics.text(services, {("GET", 200): 5}, 2)
    assert 'perfect_http_responses_total{method="GET",status="200"} 5\n' in text
    assert 'perfect_service_lag_seconds{service="engine"} 1.5\n' in text
    assert 'perfect_service_ready{service="pro\\"jector"} 0\n' in text
    assert 'perfect_service_metric{service="engine",name="live_runs"} 2' in text
