"""A call's result as its event keeps it, and the digest of its inputs."""

import functools
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfect_schemas import ids
from perfect_schemas.envelope import StoredValue
from perfect_sdk import results
from perfect_sdk.encoding.secrecy import conceal, holds
from perfect_sdk.encoding.values import encode_ordered
from perfect_sdk.running.effects import Blocking, Steps
from perfect_sdk.running.replay import OF_CONCEALED

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunSession

_WARNING = 30


def keep(
    session: "RunSession", name: str, value: Any, serializer: results.Serializer
) -> Steps[StoredValue | None]:
    """The result as an event keeps it. None, with one warning, when it cannot be kept."""
    if value is None:
        return results.NOTHING
    try:
        data = results.encode_result(value, serializer)
    except results.NotStorable as error:
        if session.warn_once(("result", name)):
            session.say(
                _WARNING,
                f"the result of {name!r} cannot be stored as {serializer} ({error}); it is not kept, and a resumed run "
                'works it out again. Return builtins, dataclasses or Structs, or use result_serializer="pickle"',
            )
        return None
    if not results.is_large(data):
        return results.inline(data, serializer)
    ref = yield Blocking(lambda: session.journal.store(f"{session.run.run_id}/{ids.uuid7()}", data))
    return results.by_reference(ref, data, serializer)


def digest_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Hex SHA-256 of the inputs as JSON; None when they have no JSON form that is always the same.

    Of inputs that hold a secret it is the digest of what is shown of them, and is marked so: the digest of all else is
    known, so that of a weak secret could be guessed.
    """
    if not args and not kwargs:
        return _NO_INPUTS
    try:
        data = encode_ordered((args, kwargs))
        if holds(data):
            return OF_CONCEALED + hashlib.sha256(conceal(data.decode()).encode()).hexdigest()
        return hashlib.sha256(data).hexdigest()
    except Exception:
        return None


_NO_INPUTS = hashlib.sha256(b"[[],{}]").hexdigest()


@functools.lru_cache(4096)
def returns_of(fn: Callable[..., Any]) -> Any:
    """The return annotation, Any when there is none (or one that cannot be resolved)."""
    from perfect_sdk.encoding.parameters import type_hints

    return type_hints(fn).get("return", Any)
