"""Variables: what may be set, and the fold. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from perfect_schemas.commands import RemoveVariable, SetVariable, VariableView
from perfect_schemas.envelope import Event
from perfect_schemas.errors import Conflicting, FieldError, NotFound, refuse
from perfect_schemas.events.variable import VariableRemoved, VariableSet

SOURCE = "registry"
NAME_LENGTH = 255
VALUE_BYTES = 64 * 1024
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{NAME_LENGTH}}}", re.ASCII).fullmatch


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """set_id: of the command that has set it, None when that had none."""

    view: VariableView
    set_id: str | None = None


def evolve(state: Variable | None, event: Event, _: int) -> Variable | None:
    if isinstance(event, VariableSet):
        view = VariableView(
            name=event.name, value=event.value, tags=event.tags, updated_at=event.at, by=event.by
        )
        return Variable(view=view, set_id=event.cause)
    return None if isinstance(event, VariableRemoved) else state


def put(
    kept: Variable | None, command: SetVariable, *, event_id: str, now: datetime
) -> Sequence[VariableSet]:
    """Nothing when this command has set it already, or would change nothing. Raises InvalidInput, Conflicting."""
    check(command)
    if kept is not None:
        is_repeat = bool(command.set_id) and kept.set_id == command.set_id
        is_alike = bytes(kept.view.value) == bytes(command.value) and kept.view.tags == command.tags
        if is_alike and (command.overwrite or is_repeat):
            return ()
        if not command.overwrite and not is_repeat:
            raise Conflicting(
                f"there is a variable {command.name!r} already: overwrite it, or remove it first"
            )
    return (
        VariableSet(
            id=event_id,
            at=now,
            source=SOURCE,
            name=command.name,
            value=command.value,
            tags=command.tags,
            by=command.by,
            cause=command.set_id or None,
        ),
    )


def remove(
    kept: Variable | None, command: RemoveVariable, *, event_id: str, now: datetime
) -> Sequence[VariableRemoved]:
    """Raises NotFound."""
    if kept is None:
        raise NotFound(f"there is no variable {command.name[:NAME_LENGTH]!r}")
    return (VariableRemoved(id=event_id, at=now, source=SOURCE, name=command.name, by=command.by),)


def check(command: SetVariable) -> None:
    errors = name_errors(command.name)
    if len(command.value) > VALUE_BYTES:
        errors.append(FieldError("value", f"is larger than {VALUE_BYTES // 1024} KiB as JSON"))
    try:
        msgspec.json.decode(command.value)
    except msgspec.DecodeError:
        errors.append(FieldError("value", "is not JSON"))
    if not all(tag.strip() and tag.isprintable() and len(tag) <= NAME_LENGTH for tag in command.tags):
        errors.append(FieldError("tags", f"must be 1 to {NAME_LENGTH} printable characters each"))
    refuse("the variable cannot be set", errors)


def name_errors(name: str) -> list[FieldError]:
    """Of a variable or a secret."""
    if _NAME(name):
        return []
    return [FieldError("name", f"must be 1 to {NAME_LENGTH} letters, digits, dashes or underscores")]
