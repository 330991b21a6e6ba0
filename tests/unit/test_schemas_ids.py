import os
import threading
import time
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_schemas import ids

INSTANT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_uuid7_is_a_version_7_uuid_of_now() -> None:
    value = uuid.UUID(ids.uuid7())
    assert (value.version, value.variant) == (7, uuid.RFC_4122)
    assert abs((value.int >> 80) - time.time() * 1000) < 5000


def test_ids_of_one_process_ascend_even_within_a_millisecond() -> None:
    made = [ids.uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_from_several_threads_are_unique_and_ascend_in_each() -> None:
    made: list[list[str]] = [[] for _ in range(4)]

    def make(into: list[str]) -> None:
        into.extend(ids.uuid7() for _ in range(2000))

    threads = [threading.Thread(target=make, args=(into,)) for into in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(into == sorted(into) for into in made)
    assert len({one for into in made for one in into}) == 8000


def test_an_id_for_an_instant_is_the_same_each_time_and_carries_it() -> None:
    made = ids.uuid7_for(INSTANT, "schedule", "a")
    assert made == ids.uuid7_for(INSTANT, "schedule", "a")
    assert made != ids.uuid7_for(INSTANT, "schedule", "b")
    assert made != ids.uuid7_for(INSTANT, "schedulea")
    assert uuid.UUID(made).version == 7
    assert uuid.UUID(made).int >> 80 == int(INSTANT.timestamp() * 1000)


@given(st.datetimes(min_value=datetime(1971, 1, 1), timezones=st.just(UTC)), st.text(), st.text())
def test_ids_for_instants_order_like_the_instants(at: datetime, one: str, other: str) -> None:
    later = datetime.fromtimestamp(at.timestamp() + 1, UTC) if at.year < 9999 else at
    if later.timestamp() - at.timestamp() >= 0.5:
        assert ids.uuid7_for(at, one) < ids.uuid7_for(later, other)


def test_names_give_the_same_ids_everywhere() -> None:
    """Written down: another version of this code must give the same, or histories fall apart."""
    flow = ids.flow_id("ETL Pipeline")
    assert flow == "9082e21f-2495-5b3e-b9d8-a7db5a92a90f"
    assert ids.task_id(flow, "extract") == "0eea63b4-ffa9-560d-b0c4-051694d5c571"


def test_children_and_task_runs_have_the_same_id_on_every_replay_and_sort_with_their_run() -> None:
    run = ids.uuid7()
    assert ids.child_run_id(run, "flow/x-0") == ids.child_run_id(run, "flow/x-0")
    made = {
        ids.child_run_id(run, "flow/x-0"),
        ids.child_run_id(run, "flow/x-1"),
        ids.task_run_id(run, "flow/x-0"),
        ids.task_run_id(run, "flow/x-1"),
    }
    assert len(made) == 4
    assert {one[:13] for one in made} == {run[:13]}
    assert all(uuid.UUID(one).version == 7 for one in made)


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("0192f0c1-2345-7abc-8def-0123456789ab", True),
        ("0192F0C1-2345-7ABC-8DEF-0123456789AB", False),
        ("0192f0c123457abc8def0123456789ab", False),
        ("{0192f0c1-2345-7abc-8def-0123456789ab}", False),
        ("a.b", False),
        ("*", False),
        ("", False),
    ],
)
def test_only_the_dashed_lower_case_form_may_stand_in_a_subject(text: str, is_id: bool) -> None:
    assert ids.is_id(text) is is_id


def test_a_uuid7_says_when_it_was_made() -> None:
    at = datetime(2026, 5, 1, 12, 0, 0, 123000, tzinfo=UTC)
    assert ids.made_at(ids.uuid7_for(at, "a")) == at
    assert ids.made_at(ids.child_run_id(ids.uuid7_for(at, "a"), "key")) == at
    assert ids.made_at(ids.flow_id("etl")) is None


def test_a_forked_process_draws_ids_of_its_own() -> None:
    ids.uuid7()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        os.write(write, "".join(ids.uuid7() for _ in range(50)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 36 * 50).decode()
    os.close(read)
    os.close(write)
    ours = [ids.uuid7() for _ in range(50)]
    ends = {theirs[start + 19 : start + 36] for start in range(0, len(theirs), 36)}
    assert len(ends) == 50
    assert not ends & {one[19:] for one in ours}
