from datetime import UTC, datetime, timedelta

import pytest

from perfect_projector.continuity import compare
from perfect_projector.journal import StreamState

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def state(first: int, last: int) -> StreamState:
    return StreamState(MADE, first, last, max(last - first + 1, 0))


@pytest.mark.parametrize(
    ("stream", "first", "last", "seq", "created", "position", "alarm"),
    [
        ("EVENTS", 0, 0, 0, None, 0, None),  # never used
        ("EVENTS", 1, 9, 0, None, 0, None),
        ("EVENTS", 1, 9, 9, MADE, 9, None),
        ("EVENTS", 10, 20, 9, MADE, 9, None),
        ("EVENTS", 11, 20, 9, MADE, 9, "1 messages between them are lost"),
        ("EVENTS", 11, 20, 0, None, 0, "10 messages between them are lost"),
        ("LOGS", 11, 20, 0, None, 0, None),  # they age out
        ("LOGS", 11, 20, 9, MADE, 9, "are lost"),
        ("EVENTS", 1, 9, 12, MADE, 9, "the stream has lost"),
        ("EVENTS", 1, 9, 9, MADE + timedelta(seconds=1), 9, "nothing is read"),
        ("EVENTS", 1, 9, 9, MADE + timedelta(microseconds=1), 9, None),
    ],
)
def test_streams_and_files(stream, first, last, seq, created, position, alarm) -> None:
    found = compare(stream, state(first, last), seq, created)
    assert found.position == position
    assert found.is_other == (alarm == "nothing is read")
    if alarm is None:
        assert found.alarm is None
    else:
        assert alarm in (found.alarm or "")


@pytest.mark.parametrize(
    ("stream", "created", "alarms"),
    [
        ("EVENTS", MADE, True),
        ("EVENTS", None, True),
        ("DEFS", MADE, True),
        ("DEFS", None, False),
        ("LOGS", MADE, False),
    ],
)
def test_holes_after_the_end_of_the_file(stream, created, alarms) -> None:
    """What leaves a stream in good order stands before the end of the file."""
    found = compare(stream, state(1, 20), 9, created, missing=3)
    assert found.position == 9
    assert ("3 messages of stream" in (found.alarm or "")) is alarms
