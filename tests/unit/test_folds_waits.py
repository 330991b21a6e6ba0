"""The waits of a run, as its history tells them."""

from datetime import UTC, datetime, timedelta

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.folds.history import History, fold

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = ids.uuid7()


def said(*events: e.Event) -> History:
    return fold(enumerate(events, 1))


def event(kind, after_s: float = 0, **fields) -> e.Event:
    return kind(id=ids.uuid7(), at=NOW + timedelta(seconds=after_s), source="test", run_id=RUN, **fields)


def begun() -> list[e.Event]:
    return [
        event(e.RunScheduled, flow_id=ids.flow_id("f"), flow_name="f"),
        event(e.RunQueued),
        event(e.RunStarted, epoch=1, client_id="c"),
    ]


def suspended(key: str, waits_for: str = "input", **fields) -> e.Event:
    return event(e.RunSuspended, epoch=1, waits_for=waits_for, key=key, **fields)


def test_a_wait_is_open_until_the_run_is_resumed():
    history = said(*begun(), suspended("pause-0", wake_at=NOW + timedelta(hours=1)))
    wait = history.waits["pause-0"]
    assert (wait.waits_for, wait.is_over, wait.wake_at) == ("input", False, NOW + timedelta(hours=1))
    history.apply(event(e.RunResumed, 5, input={"a": 1}), 9)
    wait = history.waits["pause-0"]
    assert (wait.is_over, wait.timed_out, wait.input, wait.seq) == (True, False, {"a": 1}, 9)


def test_a_wait_that_its_time_ended_has_timed_out():
    history = said(
        *begun(), suspended("pause-0", wake_at=NOW + timedelta(hours=1)), event(e.RunResumed, 3600)
    )
    assert history.waits["pause-0"].timed_out


def test_without_input_it_can_be_resumed_before_its_time():
    history = said(
        *begun(), suspended("pause-0", wake_at=NOW + timedelta(hours=1)), event(e.RunResumed, 3599)
    )
    assert not history.waits["pause-0"].timed_out
    assert history.waits["pause-0"].is_over


def test_the_clocks_of_other_branches_are_kept():
    later = NOW + timedelta(seconds=20)
    history = said(
        *begun(),
        suspended("a~0/sleep-0", "sleep", wake_at=NOW, pending={"a~1/sleep-0": later}),
        event(e.RunResumed),
        event(e.RunQueued),
        event(e.RunStarted, epoch=2, client_id="c"),
        suspended("x", "sleep", pending={"a~1/sleep-0": later + timedelta(days=1)}),
    )
    assert history.waits["a~0/sleep-0"].is_over
    assert history.waits["a~1/sleep-0"].wake_at == later
    assert not history.waits["a~1/sleep-0"].is_over


def test_what_is_illegal_changes_no_wait():
    history = said(*begun(), event(e.RunResumed, input=1))
    assert history.waits == {}
    assert history.ignored == 1


def test_waits_side_by_side_are_over_one_by_one():
    beside = [
        e.OpenWait(key="pause-0", waits_for="input", wake_at=NOW + timedelta(seconds=5)),
        e.OpenWait(key="child", waits_for="child"),
    ]
    first = suspended("sleep-0", "sleep", wake_at=NOW, beside=beside)
    history = said(*begun(), first, event(e.RunResumed, 1, key="pause-0", input="x"))
    assert {key: wait.is_over for key, wait in history.waits.items()} == {
        "sleep-0": False,
        "pause-0": True,
        "child": False,
    }
    assert history.waits["pause-0"].input == "x"
    history.apply(event(e.RunQueued), 7)
    history.apply(event(e.RunStarted, epoch=2, client_id="c"), 8)
    again = event(e.RunSuspended, epoch=2, waits_for="child", key="child")
    history.apply(again, 9)
    history.apply(event(e.RunResumed, 2, key="child"), 10)
    assert history.waits["child"].is_over
    history.apply(event(e.RunStarted, epoch=3, client_id="c"), 11)
    history.apply(suspended("sleep-0", "sleep", wake_at=NOW, beside=[beside[1]]), 12)
    assert not history.waits["child"].is_over  # the same child run waits once more
