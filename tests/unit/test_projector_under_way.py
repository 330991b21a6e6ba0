"""Which runs go on, read off the messages as they come."""

from perfect_projector.under_way import MOST_RUNS, UnderWay
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import utc_now

COMMON = {"id": ids.uuid7(), "at": utc_now(), "source": "test"}
QUEUED = codec.encode(e.RunQueued(**COMMON))
RESUMED = codec.encode(e.RunResumed(**COMMON, key="pause-0"))
SUSPENDED = codec.encode(e.RunSuspended(**COMMON, waits_for="input", key="pause-0"))
COMPLETED = codec.encode(e.RunCompleted(**COMMON, duration_ms=1))
FIRST, SECOND = subjects.run(ids.uuid7()), subjects.run(ids.uuid7())


def test_the_last_run_that_ends_is_told_from_those_before_it() -> None:
    under_way = UnderWay()
    assert not under_way.note(FIRST, QUEUED)
    assert not under_way.note(SECOND, QUEUED)
    assert not under_way.note(FIRST, COMPLETED)
    assert under_way
    assert under_way.note(SECOND, COMPLETED)
    assert not under_way
    assert not under_way.note(SECOND, COMPLETED), "it had ended already"


def test_a_run_that_waits_rests_until_it_is_resumed() -> None:
    under_way = UnderWay()
    under_way.note(FIRST, QUEUED)
    assert under_way.note(FIRST, SUSPENDED)
    under_way.note(FIRST, RESUMED)
    assert under_way


def test_other_messages_count_for_nothing() -> None:
    under_way = UnderWay()
    for subject, data in (
        (subjects.task(ids.uuid7()), QUEUED),
        (FIRST, b'{"id":"x","type":"run.queued"}'),
        (FIRST, b'{"type":"run.queued'),
        (FIRST, b""),
    ):
        assert not under_way.note(subject, data)
        assert not under_way


def test_runs_that_nobody_executes_do_not_pile_up() -> None:
    under_way = UnderWay()
    for n in range(MOST_RUNS + 1):
        under_way.note(subjects.run(str(n)), QUEUED)
    assert under_way.note(subjects.run(str(MOST_RUNS)), COMPLETED)
