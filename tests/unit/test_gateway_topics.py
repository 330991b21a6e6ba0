"""What a page hears: its topics, and which log lines."""

from datetime import UTC, datetime

import pytest

from perfect_gateway.live import topics
from perfect_gateway.live.log_tail import MOST_LINES, log_messages
from perfect_gateway.live.subscriber import Subscriber
from perfect_gateway.log_filter import LogFilter
from perfect_schemas import events
from perfect_schemas.errors import InvalidInput

NOW = datetime(2026, 1, 1, tzinfo=UTC)

RUN = "01900000-0000-7000-8000-000000000001"


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
