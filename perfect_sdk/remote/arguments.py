"""A call's arguments on their way to another worker, encoded like results: JSON, or pickle for tasks that ask for it.

JSON comes back as the annotations of the function's parameters say: a dataclass is a dataclass again. Parameters
without annotation get what JSON has: a tuple comes as a list, a datetime as text.
"""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

from perfect_schemas import ids
from perfect_schemas.envelope import StoredValue
from perfect_sdk import results
from perfect_sdk.encoding.parameters import type_hints
from perfect_sdk.encoding.values import convert
from perfect_sdk.exceptions import UnsendableArguments
from perfect_sdk.recording.journal import Journal
from perfect_sdk.running.effects import Blocking, Steps


def pack(
    journal: Journal,
    run_id: str,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    serializer: results.Serializer,
) -> Steps[StoredValue]:
    """Raises UnsendableArguments naming the argument that cannot be sent."""
    try:
        data = results.encode_result([args, kwargs], serializer)
    except results.NotStorable as error:
        raise UnsendableArguments(_complaint(name, args, kwargs, serializer, error)) from error
    if not results.is_large(data):
        return results.inline(data, serializer)
    ref = yield Blocking(lambda: journal.store(f"{run_id}/{ids.uuid7()}", data))
    return results.by_reference(ref, data, serializer)


def unpack(
    stored: StoredValue, fn: Callable[..., Any], load: Callable[[StoredValue], bytes]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as `fn` wants them. Blocks while a large value is loaded."""
    args, kwargs = results.decode_result(stored, Any, load)
    if stored.serializer == "pickle":
        return list(args), kwargs
    hints = type_hints(fn)
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):
        return args, kwargs
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p for p in parameters if p.kind is p.VAR_POSITIONAL), None)
    others = next((p for p in parameters if p.kind is p.VAR_KEYWORD), None)
    named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    places = [*by_place, *[rest] * max(len(args) - len(by_place), 0)]
    positional = [
        _as(value, hints.get(p.name, Any) if p is not None else Any)
        for value, p in zip(args, places, strict=False)
    ]
    by_name = {
        name: _as(value, hints.get(name if name in named or others is None else others.name, Any))
        for name, value in kwargs.items()
    }
    return positional, by_name


def _as(value: Any, kind: Any) -> Any:
    """An annotation that does not tell the truth changes nothing, as where the function is called directly."""
    if kind is not Any:
        with contextlib.suppress(Exception):
            return convert(value, kind)
    return value


def _complaint(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], serializer: str, error: Exception
) -> str:
    which = "its arguments"
    for place, value in [*enumerate(args, 1), *kwargs.items()]:
        try:
            results.encode_result(value, serializer)  # type: ignore[arg-type]
        except results.NotStorable as found:
            which, error = f"argument {place!r}" if isinstance(place, str) else f"argument {place}", found
            break
    advice = (
        'Pass builtins, dataclasses or Structs, or give the task result_serializer="pickle"'
        if serializer == "json"
        else "Pass what can be pickled, or a name by which the task finds it"
    )
    return f"task {name!r} runs on another worker, and {which} cannot be sent there as {serializer} ({error}). {advice}"
