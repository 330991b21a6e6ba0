"""Variables: values that are kept by name, for all flows.

    from perfect_sdk.variables import Variable

    Variable.set("batch_size", 500)
    size = Variable.get("batch_size", default=100)

A read asks the system and is not recorded: a run that is resumed reads the variable as it is then, as a retried flow
does in Prefect. Read it in a task whose result is kept to have one value for the whole run.

In async code `Variable.get`, `set` and `unset` return a coroutine; `aget`, `aset` and `aunset` always do. Where no
system runs, variables last as long as the process.
"""

from typing import Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.commands import RemoveVariable, SetVariable, ShowVariable, VariableView
from perfect_schemas.errors import Conflicting, NotFound
from perfect_sdk.connecting.services import command, dispatched, in_async
from perfect_sdk.context import current
from perfect_sdk.encoding.values import encode
from perfect_sdk.exceptions import NotJSON, ObjectAlreadyExists
from perfect_sdk.running.effects import Steps

__all__ = ["Variable"]

_decode = msgspec.json.Decoder(VariableView).decode
_here: dict[str, "Variable"] = {}  # where no system runs
_set_ids: dict[str, str] = {}  # likewise
BY = "sdk"


class Variable:
    """A variable as it was set. value: any JSON value."""

    def __init__(self, name: str, value: Any, tags: list[str] | None = None) -> None:
        self.name = name
        self.value = value
        self.tags = list(tags or [])

    def __repr__(self) -> str:
        return f"Variable(name={self.name!r}, value={self.value!r}, tags={self.tags!r})"

    @classmethod
    def get(cls, name: str, default: Any = None) -> Any:
        """The value, `default` when there is no such variable."""
        return dispatched(_get(name, default))

    @classmethod
    async def aget(cls, name: str, default: Any = None) -> Any:
        return await in_async(_get(name, default))

    @classmethod
    def set(cls, name: str, value: Any, tags: list[str] | None = None, overwrite: bool = False) -> Any:
        """Set it and return the Variable. Raises ValueError when there is one and `overwrite` is False, or when the value
        has no JSON form. The same place of a run that is resumed may set it again.
        """
        return dispatched(_set(name, value, tags, overwrite))

    @classmethod
    async def aset(
        cls, name: str, value: Any, tags: list[str] | None = None, overwrite: bool = False
    ) -> "Variable":
        return await in_async(_set(name, value, tags, overwrite))

    @classmethod
    def unset(cls, name: str) -> Any:
        """Remove it. Returns whether there was one."""
        return dispatched(_unset(name))

    @classmethod
    async def aunset(cls, name: str) -> bool:
        return await in_async(_unset(name))


def _get(name: str, default: Any) -> Steps[Any]:
    try:
        answer = yield from command("registry", "variable", ShowVariable(name=name))
    except NotFound:
        return default
    if answer is None:
        return _here[name].value if name in _here else default
    return msgspec.json.decode(_decode(answer).value)


def _set(name: str, value: Any, tags: list[str] | None, overwrite: bool) -> Steps[Variable]:
    try:
        data = encode(value)
    except Exception as error:
        raise NotJSON(f"variable {name!r}: a {type(value).__qualname__} has no JSON form") from error
    frame = current.get()
    set_id = ids.uuid7()
    if frame is not None:
        set_id = ids.set_id(frame.session.run.run_id, frame.scope.mark("variable"))
    wanted = SetVariable(
        name=name,
        value=msgspec.Raw(data),
        tags=list(tags or []),
        overwrite=overwrite,
        by=BY,
        set_id=set_id,
    )
    made = Variable(name, msgspec.json.decode(data), wanted.tags)
    try:
        answer = yield from command("registry", "set_variable", wanted)
    except Conflicting as error:
        raise ObjectAlreadyExists(f"{error.detail}: pass overwrite=True") from error
    if answer is None:
        if name in _here and not overwrite and _set_ids.get(name) != set_id:
            raise ObjectAlreadyExists(f"there is a variable {name!r} already: pass overwrite=True")
        _here[name] = made
        _set_ids[name] = set_id
    return made


def _unset(name: str) -> Steps[bool]:
    try:
        answer = yield from command("registry", "remove_variable", RemoveVariable(name=name, by=BY))
    except NotFound:
        return False
    return _here.pop(name, None) is not None if answer is None else True
