"""Pauses: their time, their key, the type of their input, and where they are refused."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from waited import Approval, last_wait

from perfect_sdk import (
    flow,
    pause_flow_run,
    suspend_flow_run,
    task,
)
from perfect_sdk.exceptions import (
    FlowPauseTimeout,
    MissingContextError,
    NotSupported,
    ParameterTypeError,
)
from perfect_sdk.input import from_input, input_schema
from perfect_sdk.testing import resume, run_flow


def test_a_pause_times_out():
    @flow
    def hasty() -> str:
        try:
            return str(pause_flow_run(timeout=10))
        except FlowPauseTimeout as error:
            return type(error).__name__

    first = run_flow(hasty)
    assert resume(hasty, first.events, timed_out=True).result == "FlowPauseTimeout"
    assert resume(hasty, first.events).result == "None"


def test_a_pause_with_a_key_waits_once():
    @flow
    def twice() -> list[int]:
        return [pause_flow_run(wait_for_input=int, key="go") for _ in range(2)]

    first = run_flow(twice)
    assert last_wait(first).key == "pause:go"
    assert resume(twice, first.events, run_input=3).result == [3, 3]


@dataclass
class Point:
    x: int
    y: int = 0


class Model:
    """What a pydantic model offers."""

    def __init__(self, n: int) -> None:
        self.n = n

    @classmethod
    def model_json_schema(cls, **_: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    @classmethod
    def model_validate(cls, value: Any) -> "Model":
        return cls(int(value["n"]))


class Nested(msgspec.Struct):
    points: list[Point]
    more: "Nested | None" = None


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (None, {"a": 1}, {"a": 1}),
        (int, 3, 3),
        (str, "x", "x"),
        (list[int], [1], [1]),
        (Point, {"x": 1}, Point(1)),
        (Nested, {"points": [{"x": 1}], "more": {"points": []}}, Nested([Point(1)], Nested([]))),
        (datetime, "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_input_comes_back_as_the_type_that_was_asked_for(kind, given, expected):
    from jsonschema import Draft202012Validator

    schema = input_schema(kind)
    Draft202012Validator(schema or {}).validate(given)
    assert from_input(given, kind) == expected


def test_pydantic_models_and_run_inputs():
    assert input_schema(Model)["required"] == ["n"]
    assert from_input({"n": 2}, Model).n == 2
    made = Approval.with_initial_data(description="Ship it?", comment="ok", approved=False)
    schema = input_schema(made)
    assert schema["properties"]["comment"]["default"] == "ok"
    assert schema["description"] == "Ship it?"
    assert "required" not in schema or not schema["required"]
    assert from_input({}, made).comment == "ok"
    with pytest.raises(NotSupported, match="no field 'colour'"):
        Approval.with_initial_data(colour="red")


def test_input_that_does_not_fit_fails_the_flow_with_a_sentence():
    @flow
    def typed() -> int:
        return pause_flow_run(wait_for_input=int)

    result = resume(typed, run_flow(typed).events, run_input="x")
    assert isinstance(result.error, ParameterTypeError)


@pytest.mark.parametrize("kind", [5, "int", [int]])
def test_what_is_no_type_cannot_be_waited_for(kind):
    @flow
    def wrong() -> None:
        pause_flow_run(wait_for_input=kind)

    assert isinstance(run_flow(wrong).error, NotSupported)


def test_where_a_pause_is_refused(monkeypatch):
    monkeypatch.setenv("PERFECT_OFFLINE", "1")

    @task
    def pausing() -> None:
        pause_flow_run()

    @flow
    def outer() -> None:
        pausing()

    with pytest.raises(NotSupported, match="not in a task"):
        _ = run_flow(outer).result

    @flow
    def alone() -> None:
        pause_flow_run()

    with pytest.raises(NotSupported, match="perfect up"):
        alone()
    with pytest.raises(MissingContextError):
        pause_flow_run()

    @flow
    def other() -> None:
        suspend_flow_run(flow_run_id="another", key="k")

    assert isinstance(run_flow(other).error, NotSupported)
