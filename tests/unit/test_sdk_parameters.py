"""Parameters: schema from type hints, JSON values as the types asked for, errors that name the field."""

import dataclasses
import enum
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from perfect_sdk import flow
from perfect_sdk.exceptions import (
    InvalidInput,
    ParameterBindError,
    ParameterTypeError,
    SignatureMismatchError,
)
from perfect_sdk.testing import run_flow


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Window:
    start: date
    days: int = 1


class Config(msgspec.Struct):
    window: Window
    colors: list[Color] = []


class Model:
    """Offers what a pydantic model offers."""

    def __init__(self, n: int) -> None:
        self.n = n

    @classmethod
    def model_json_schema(cls, ref_template: str = "") -> dict[str, Any]:
        return {
            "title": "Model",
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
        }

    @classmethod
    def model_validate(cls, value: Any) -> "Model":
        if not isinstance(value, dict) or not isinstance(value.get("n"), int):
            raise ValueError("n is missing")
        return cls(value["n"])

    def model_dump(self, mode: str) -> dict[str, Any]:
        return {"n": self.n}


class Opaque:
    pass


@flow
def everything(
    free,
    count: int,
    ratio: Annotated[float, msgspec.Meta(ge=0)] = 0.5,
    name: str | None = None,
    kind: Literal["a", "b"] = "a",
    color: Color = Color.RED,
    config: Config | None = None,
    at: datetime | None = None,
    ident: uuid.UUID = uuid.UUID(int=0),
    every: timedelta = timedelta(seconds=5),
    folder: Path = Path("/tmp"),
    model: Model | None = None,
    opaque: Opaque | None = None,
    *extra: int,
    switch: bool = False,
) -> None: ...


def test_the_schema():
    schema = everything.parameters
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["free", "count"]
    fields = schema["properties"]
    assert fields["free"] == {"title": "free", "position": 0}
    assert fields["count"] == {"title": "count", "position": 1, "type": "integer"}
    assert fields["ratio"]["minimum"] == 0
    assert fields["ratio"]["default"] == 0.5
    assert fields["name"]["default"] is None
    assert fields["kind"]["enum"] == ["a", "b"]
    assert fields["color"]["default"] == "red"
    assert schema["$defs"]["Config"]["properties"]["window"] == {"$ref": "#/$defs/Window"}
    assert schema["$defs"]["Color"]["enum"] == ["blue", "red"]
    assert {"type": "string", "format": "date-time"} in fields["at"]["anyOf"]
    assert fields["ident"]["format"] == "uuid"
    assert fields["every"]["default"] == "PT5S"
    assert fields["folder"]["default"] == "/tmp"
    assert fields["extra"]["type"] == "array"
    assert fields["switch"] == {"title": "switch", "position": 14, "type": "boolean", "default": False}
    msgspec.json.encode(schema)
    assert list(fields) == list(everything.signature.signature.parameters)


def test_the_schema_is_one_that_validators_accept():
    jsonschema = pytest.importorskip("jsonschema")
    schema = everything.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"free": 1, "count": 2, "config": {"window": {"start": "2026-01-01"}}})
    assert not validator.is_valid({"free": 1, "count": "x"})


def test_open_ended_parameters():
    @flow
    def any_of(**options: int) -> dict[str, int]:
        return options

    assert any_of.parameters["additionalProperties"] is True
    assert run_flow(any_of, {"a": 1, "b": 2}).result == {"a": 1, "b": 2}


def test_json_values_become_what_the_annotations_say():
    got = {}

    @flow
    def main(
        count: int,
        at: datetime,
        config: Config,
        model: Model,
        folder: Path,
        color: Color = Color.BLUE,
        rest: tuple[int, ...] = (),
    ) -> None:
        got.update(locals())

    result = run_flow(
        main,
        {
            "count": "3",
            "at": "2026-01-02T03:04:05Z",
            "config": {"window": {"start": "2026-01-01", "days": 2}, "colors": ["red"]},
            "model": {"n": 4},
            "folder": "/data",
            "rest": [1, 2],
        },
    )
    assert result.state == "COMPLETED", result.outcome
    assert got["count"] == 3
    assert got["at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert got["config"] == Config(Window(date(2026, 1, 1), 2), [Color.RED])
    assert got["model"].n == 4
    assert got["folder"] == Path("/data")
    assert got["color"] is Color.BLUE
    assert got["rest"] == (1, 2)


def test_errors_name_every_wrong_field():
    with pytest.raises(ParameterTypeError) as caught:
        everything.validate_parameters(
            {"free": 1, "count": "x", "config": {"window": {"start": "soon"}}, "kind": "c", "model": {}}
        )
    fields = {error.field: error.message for error in caught.value.errors}
    assert set(fields) == {"count", "config.window.start", "kind", "model"}
    assert "count: Expected `int`" in str(caught.value)
    assert caught.value.status == 422
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, InvalidInput)


def test_wrong_names():
    with pytest.raises(SignatureMismatchError) as caught:
        everything.validate_parameters({"count": 1, "cuont": 2})
    assert {error.field for error in caught.value.errors} == {"cuont", "free"}
    with pytest.raises(ParameterBindError, match="missing a required argument: 'free'"):
        everything()


def test_wrong_parameters_fail_the_run_without_calling_it():
    result = run_flow(everything, {"free": 1, "count": "x"})
    assert result.state == "FAILED"
    assert isinstance(result.error, ParameterTypeError)
    assert "count" in result.history.run.error.message


def test_validation_can_be_left_out():
    @flow(validate_parameters=False)
    def main(n: int) -> object:
        return n

    assert run_flow(main, {"n": "3"}).result == "3"


def test_annotations_that_cannot_be_resolved_accept_anything():
    @flow
    def main(a: "Missing", b: "int") -> int:  # noqa: F821
        return a + b

    assert main.parameters["properties"]["b"]["type"] == "integer"
    assert main.parameters["properties"]["a"] == {"title": "a", "position": 0}
    assert run_flow(main, {"a": 1, "b": "2"}).result == 3


def test_positional_only_and_variable_arguments():
    @flow
    def main(a: int, /, b: int, *rest: int, c: int = 0) -> list[int]:
        return [a, b, *rest, c]

    assert run_flow(main, {"a": 1, "b": 2, "rest": [3, 4], "c": 5}).result == [1, 2, 3, 4, 5]
    assert run_flow(main, {"a": 1, "b": 2}).result == [1, 2, 0]
