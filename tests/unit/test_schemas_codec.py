import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.events import RunQueued, RunStarted

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
EVENT = RunStarted(id="e1", at=AT, source="worker:c1", run_id="r1", epoch=2, client_id="c1")


def test_an_event_is_one_readable_json_object() -> None:
    assert json.loads(codec.encode(EVENT)) == {
        "type": "run.started",
        "id": "e1",
        "at": "2026-01-02T03:04:05.678901Z",
        "source": "worker:c1",
        "run_id": "r1",
        "epoch": 2,
        "client_id": "c1",
    }
    assert codec.decode(codec.encode(EVENT)) == EVENT


def test_fields_of_a_later_version_are_ignored() -> None:
    later = {**json.loads(codec.encode(EVENT)), "mood": "good", "nested": {"a": [1]}}
    assert codec.decode(json.dumps(later).encode()) == EVENT


def test_a_type_of_a_later_version_is_kept_apart_with_its_id() -> None:
    assert codec.decode(
        b'{"type": "run.teleported", "id": "e9", "at": "2026-01-02T00:00:00Z"}'
    ) == UnknownEvent(id="e9", type="run.teleported", reason="Invalid value 'run.teleported' - at `$.type`")


def test_a_time_without_a_zone_is_not_readable() -> None:
    """Folds subtract times: one without a zone would raise there."""
    text = codec.encode(EVENT).replace(b"678901Z", b"678901")
    assert isinstance(codec.decode(text), UnknownEvent)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"type": 3}', b'{"type": "run.started"}', b'"x"']
)
def test_what_cannot_be_read_becomes_an_unknown_event(data: bytes) -> None:
    assert isinstance(codec.decode(data), UnknownEvent)


@given(st.binary())
def test_decoding_never_raises(data: bytes) -> None:
    codec.decode(data)


def test_defaults_take_no_room() -> None:
    event = RunQueued(id="e", at=AT, source="engine", run_id="r", queue="default", priority=0)
    assert set(json.loads(codec.encode(event))) == {"type", "id", "at", "source", "run_id"}
