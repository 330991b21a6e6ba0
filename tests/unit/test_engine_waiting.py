"""Why a run waits, in a sentence."""

import pytest
from engine_lives import NOW, life, paused_from_outside

from perfect_engine import waiting
from perfect_engine.placement import Worker
from perfect_engine.waiting import Around
from perfect_schemas.states import RunState as S


def worker(slots, held):
    return Worker("w", slots, held, frozenset({"f"}), frozenset({"default"}))


@pytest.mark.parametrize(
    ("around", "sentence"),
    [
        (Around(), "no worker serves flow 'etl'"),
        (Around(workers=[worker(2, 0)]), "waits for its turn"),
        (
            Around(workers=[worker(2, 2)], taken={"a": 1, "b": 1}),
            "all 2 slots of the worker that serves flow 'etl' are taken: 1 by flow 'a', 1 by flow 'b'",
        ),
        (
            Around(workers=[worker(1, 1)], taken={"a": 1}),
            "the only slot of the worker that serves flow 'etl' is taken by a run of flow 'a'",
        ),
        (
            Around(workers=[worker(9, 1)], flow_limit=1, running=["r9"]),
            "the limit of flow 'etl' is reached (1 at once), held by run r9",
        ),
        (
            Around(workers=[worker(9, 1)], flow_limit=5, running=list("abcde")),
            "the limit of flow 'etl' is reached (5 at once), held by runs a, b, c and 2 more",
        ),
        (
            Around(workers=[worker(9, 0)], flow_limit=0),
            "the limit of flow 'etl' is 0: none of its runs may start",
        ),
        (Around(workers=[worker(9, 0)], flow_limit=2, running=["x"]), "waits for its turn"),
    ],
)
def test_why_it_waits(around, sentence):
    assert waiting.reason(life(S.PENDING), around) == sentence


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (life(waits_for="input"), "paused: waits for input"),
        (life(waits_for="child", wait_key="c"), "waits for child run c"),
        (life(waits_for="sleep", wake_at=NOW), "sleeps until 2026-01-01 12:00:00 UTC"),
        (life(S.SCHEDULED, fork_of="o", origin="fork"), "takes over the results of run o"),
        (life(S.CANCELLING), "is being cancelled"),
        (paused_from_outside(), "paused by ann: goes on when it is resumed"),
        (paused_from_outside(origin="child", parent_run_id="p"), "paused with run p, which called it"),
        (
            life(S.RUNNING, pausing_by="ann"),
            "is being paused by ann: stops at its next call of a task, a child flow or a wait",
        ),
        (life(S.FAILED), ""),
    ],
)
def test_why_it_waits_by_itself(one, sentence):
    assert waiting.reason(one, Around()) == sentence


def test_a_running_run_waits_for_a_slot():
    assert waiting.reason(life(S.RUNNING), Around(slot="waits for a slot")) == "waits for a slot"
