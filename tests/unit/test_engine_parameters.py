from datetime import UTC, datetime

import pytest

from perfect_engine import waiting
from perfect_engine.parameters import Checker
from perfect_engine.placement import Worker
from perfect_engine.waiting import Around
from perfect_schemas.errors import InvalidInput
from perfect_schemas.folds.flow import Flow
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState as S

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def flow(schema, version="1"):
    return Flow(
        id="f", name="etl", version=version, last_seq=1, created_at=NOW, registered_at=NOW, parameters=schema
    )


def wrong(schema, parameters):
    with pytest.raises(InvalidInput) as caught:
        Checker().check(flow(schema), parameters)
    return {error.field: error.message for error in caught.value.errors}


PROPERTIES = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1},
        "items": {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}},
        "at": {"$ref": "#/$defs/At"},
    },
    "$defs": {"At": {"type": "object", "properties": {"day": {"type": "string"}}, "additionalProperties": False}},
}  # fmt: skip


def test_right_ones_pass():
    Checker().check(flow(PROPERTIES), {"n": 1, "items": [{"id": "x"}], "at": {"day": "mo"}})
    Checker().check(flow({}), {"anything": [1]})
    Checker().check(flow({"type": "object", "additionalProperties": True}), {"anything": [1]})


def test_every_wrong_field_is_named():
    found = wrong(PROPERTIES, {"n": 0, "items": [{}, {"id": 3}], "at": {"hour": 1}, "other": 1})
    assert set(found) == {
        "parameters.n",
        "parameters.items.0.id",
        "parameters.items.1.id",
        "parameters.at.hour",
        "parameters.other",
    }
    assert "it takes: n, items, at" in found["parameters.other"]


def test_flow_without_parameters_takes_none():
    assert "it takes: none" in wrong({"type": "object", "properties": {}}, {"x": 1})["parameters.x"]


def test_newer_version_counts():
    checker = Checker()
    checker.check(flow({"type": "object", "properties": {"a": {}}}), {"a": 1})
    with pytest.raises(InvalidInput):
        checker.check(flow({"type": "object", "properties": {"b": {}}}, version="2"), {"a": 1})


def life(state, **fields):
    return RunLife(id="r", flow_id="f", flow_name="etl", state=state, created_at=NOW, last_seq=1, **fields)


def worker(slots, held, name="w"):
    return Worker(name, slots, held, frozenset({"f"}), frozenset({"default"}))


@pytest.mark.parametrize(
    ("run", "workers", "handed", "sentence"),
    [
        (life(S.PENDING), [], False, "no worker serves flow 'etl'"),
        (life(S.PENDING, queue="gpu"), [worker(1, 0)], False, "no worker serves flow 'etl' on queue 'gpu'"),
        (
            life(S.PENDING),
            [worker(1, 1)],
            False,
            "the only slot of the worker that serves flow 'etl' is taken",
        ),
        (life(S.PENDING), [worker(2, 2)], True, "all 2 slots of the worker that serves flow 'etl' are taken"),
        (
            life(S.PENDING),
            [worker(1, 1), worker(2, 3, "v")],
            True,
            "all 3 slots of the 2 workers that serve flow 'etl' are taken",
        ),
        (life(S.PENDING), [worker(1, 0)], True, "handed over: a worker is about to take it"),
        (life(S.PENDING), [worker(1, 0)], False, "waits for its turn"),
        (life(S.SCHEDULED, due_at=NOW), [], False, "scheduled for 2026-01-01 00:00:00 UTC"),
        (life(S.RUNNING), [], False, ""),
        (life(S.COMPLETED), [], False, ""),
        (None, [], False, ""),
    ],
)
def test_waiting_reason(run, workers, handed, sentence):
    assert waiting.reason(run, Around(workers=workers, is_handed=handed)) == sentence
