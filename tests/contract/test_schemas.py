"""The language on the wire only grows: fields are added, with a default, and nothing else changes.

`snapshots/*.json` are the JSON Schemas of what may be on the wire; `snapshots/events.jsonl` are bytes that earlier
versions wrote. After adding something run `just snapshots` (that is `PERFECT_SNAPSHOTS=update pytest
tests/contract/test_schemas.py`): it takes additions up, and refuses every other change. A change that really is meant
to break old readers is taken up by PERFECT_SNAPSHOTS=break, and needs an upcast and a line in the CHANGELOG.
"""

import json
import os
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from perfect_schemas import charts, codec, commands, drawn, errors, queries, views
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.events import AnyEvent

FOLDER = Path(__file__).parent / "snapshots"
GOLDEN = FOLDER / "events.jsonl"
MODE = os.environ.get("PERFECT_SNAPSHOTS", "check")


def structs_of(*modules: Any) -> list[type]:
    found = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, msgspec.Struct)
        and f"{value.__module__}.".startswith(f"{module.__name__}.")
    ]
    return sorted(found, key=lambda one: one.__name__)


EVENTS = sorted(AnyEvent.__args__, key=lambda one: one.__struct_config__.tag)
UNIONS = {
    "events": EVENTS,
    "commands": [*structs_of(commands), errors.Problem],
    "queries": [*structs_of(queries), *structs_of(views), *structs_of(charts), *structs_of(drawn)],
}


def any_value(kind: type) -> dict[str, Any]:
    assert kind is msgspec.Raw
    return {}


def default_value(value: Any, **options: Any) -> Any:
    return (
        json.loads(bytes(value)) if isinstance(value, msgspec.Raw) else msgspec.to_builtins(value, **options)
    )


def schema_of(types: list[type]) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:  # msgspec makes no schema of a struct with a Raw as default
        patch.setattr(msgspec._json_schema, "to_builtins", default_value)
        _, components = msgspec.json.schema_components(
            types, schema_hook=any_value, ref_template="#/$defs/{name}"
        )
    return {name: without_prose(components[name]) for name in sorted(components)}


def without_prose(schema: Any) -> Any:
    """What a reader of bytes depends on: not the descriptions."""
    if isinstance(schema, dict):
        return {
            key: {name: without_prose(one) for name, one in value.items()}
            if key == "properties"
            else without_prose(value)
            for key, value in schema.items()
            if key not in ("title", "description")
        }
    return [without_prose(one) for one in schema] if isinstance(schema, list) else schema


def breaking(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Every change from `old` to `new` that is not an addition of a struct or of an optional field."""
    found = []
    for name, before in old.items():
        after = new.get(name)
        if after is None:
            found.append(f"{name} is gone")
            continue
        rest = [{key: one for key, one in each.items() if key != "properties"} for each in (before, after)]
        if rest[0] != rest[1]:
            found.append(f"{name}: {rest[0]} became {rest[1]}")
        fields = after.get("properties", {})
        for field, schema in before.get("properties", {}).items():
            if field not in fields:
                found.append(f"{name}.{field} is gone")
            elif fields[field] != schema:
                found.append(f"{name}.{field}: {schema} became {fields[field]}")
    return found


@pytest.mark.parametrize("union", list(UNIONS))
def test_nothing_but_optional_fields_was_added_since_the_snapshot(union: str) -> None:
    file, now = FOLDER / f"{union}.json", schema_of(UNIONS[union])
    if MODE == "break" or not file.is_file():
        write(file, now)
    changes = breaking(json.loads(file.read_text()), now)
    assert not changes, "\n".join(["readers of older bytes or older readers break:", *changes])
    if MODE == "update":
        write(file, now)


def write(file: Path, schema: dict[str, Any]) -> None:
    assert MODE in ("update", "break"), f"{file.name} is missing: run `just snapshots`"
    file.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")


def test_the_comparison_sees_what_it_must_see() -> None:
    old = {"A": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}

    def changed(**properties: Any) -> dict:
        return {"A": {**old["A"], "properties": {**old["A"]["properties"], **properties}}}

    assert breaking(old, {**changed(y={"type": "string", "default": ""}), "B": {}}) == []
    assert breaking(old, {}) == ["A is gone"]
    assert len(breaking(old, changed(x={"type": "string"}))) == 1
    assert len(breaking(old, {"A": {**old["A"], "properties": {}}})) == 1
    assert len(breaking(old, {"A": {**old["A"], "required": ["x", "y"]}})) == 1


# -- bytes of earlier versions


def example(kind: inspect.Type, full: bool) -> Any:
    """A value of `kind` that differs from every default."""
    match kind:
        case inspect.UnionType(types=types):
            return example(next(one for one in types if not isinstance(one, inspect.NoneType)), full)
        case inspect.StrType():
            return "text"
        case inspect.IntType():
            return 7
        case inspect.FloatType():
            return 2.5
        case inspect.BoolType():
            return True
        case inspect.DateTimeType():
            return datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
        case inspect.RawType():
            return msgspec.Raw(b'{"a":[1,"x",null]}')
        case inspect.LiteralType(values=values):
            return max(values)
        case inspect.EnumType(cls=cls):
            return next(iter(cls))
        case inspect.ListType(item_type=item):
            return [example(item, full)]
        case inspect.DictType(value_type=value):
            return {"key": example(value, full)}
        case inspect.AnyType():
            return [1, "x", None]
        case inspect.StructType(cls=cls):
            return build(cls, full)
    raise AssertionError(f"no example for {kind}")


def build(cls: type[msgspec.Struct], full: bool) -> Any:
    fields = inspect.type_info(cls).fields
    return cls(**{field.name: example(field.type, full) for field in fields if full or field.required})


def golden() -> list[bytes]:
    return GOLDEN.read_bytes().splitlines() if GOLDEN.is_file() else []


def shape(data: bytes) -> tuple[str, tuple[str, ...]]:
    said = json.loads(data)
    return said["type"], tuple(sorted(said))


@pytest.mark.skipif(MODE == "check", reason="only when the snapshots are brought up to date")
def test_take_up_the_bytes_of_new_events_and_fields() -> None:
    lines = golden()
    known = {shape(line) for line in lines}
    made = [codec.encode(build(cls, full)) for cls in EVENTS for full in (False, True)]
    GOLDEN.write_bytes(b"\n".join([*lines, *(one for one in made if shape(one) not in known), b""]))


def test_there_are_bytes_of_every_event() -> None:
    assert {shape(line)[0] for line in golden()} == {cls.__struct_config__.tag for cls in EVENTS}


@pytest.mark.parametrize("line", golden(), ids=lambda line: shape(line)[0])
def test_bytes_of_earlier_versions_decode_to_what_they_said(line: bytes) -> None:
    event = codec.decode(line)
    assert not isinstance(event, UnknownEvent), event.reason
    assert json.loads(codec.encode(event)) == json.loads(line)
    for field, said in json.loads(line).items():
        value = getattr(event, field)
        assert json.loads(codec.encode(value)) == said


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__struct_config__.tag)
@pytest.mark.parametrize("full", [False, True])
def test_every_event_survives_the_wire(cls: type[msgspec.Struct], full: bool) -> None:
    event = build(cls, full)
    assert codec.decode(codec.encode(event)) == event
    assert event.type == cls.__struct_config__.tag


# -- manners


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_events_are_frozen_and_tagged_with_noun_and_past_tense(cls: type[msgspec.Struct]) -> None:
    config = cls.__struct_config__
    noun, _, verb = config.tag.partition(".")
    assert config.frozen
    assert config.omit_defaults
    assert cls.__name__.lower().startswith(noun) or cls.__name__ == "LogBatch"
    assert verb.replace("_", "").isalpha()


def test_structs_are_frozen_and_no_enum_hides_in_events() -> None:
    for types in UNIONS.values():
        for cls in types:
            assert cls.__struct_config__.frozen, cls
            if cls in EVENTS:
                for field in inspect.type_info(cls).fields:
                    assert not isinstance(field.type, Enum)
