"""`task.map(…)`: which call gets what."""

from typing import TYPE_CHECKING, Any

from perfect_sdk.annotations import allow_failure, quote, strip, unmapped
from perfect_sdk.context import current
from perfect_sdk.exceptions import MappingLengthMismatch, MappingMissingIterable
from perfect_sdk.futures import PerfectFuture, PerfectFutureList

if TYPE_CHECKING:
    from perfect_sdk.task import Task


def submit_each(
    task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]
) -> PerfectFutureList[Any]:
    """Raises MappingMissingIterable, MappingLengthMismatch."""
    wait_for = kwargs.pop("wait_for", None) or ()
    kwargs.pop("deferred", None)
    positional = [_items(value) for value in args]
    named = {name: _items(value) for name, value in kwargs.items()}
    iterated = [strip(value) for value in (*args, *kwargs.values()) if not isinstance(value, unmapped)]
    if futures := [value for value in iterated if isinstance(value, PerfectFuture)]:
        wait_for = [wait_for, *futures]  # they are done; each of the calls comes from them
    if (frame := current.get()) is not None and (known := [*filter(frame.session.sources.knows, iterated)]):
        wait_for = [wait_for, *map(quote, known)]  # the same of what a task returned
    lengths = {len(items) for items in (*positional, *named.values()) if isinstance(items, list)}
    if not lengths:
        raise MappingMissingIterable(
            f"task {task.name!r}: map() got nothing to iterate over; give it a list, or use submit()"
        )
    if len(lengths) > 1:
        raise MappingLengthMismatch(
            f"task {task.name!r}: map() got iterables of different lengths: {sorted(lengths)}; "
            "wrap what every call gets as it is in unmapped()"
        )
    submit: Any = task.submit
    return PerfectFutureList(
        submit(
            *[_item(items, i) for items in positional],
            wait_for=wait_for,
            **{name: _item(items, i) for name, items in named.items()},
        )
        for i in range(lengths.pop())
    )


def _items(value: Any) -> Any:
    """A list to iterate over, or the value that every call gets."""
    if isinstance(value, unmapped):
        return value
    if isinstance(value, (allow_failure, quote)):
        inner = _items(value.value)
        return [type(value)(each) for each in inner] if isinstance(inner, list) else value
    if isinstance(value, PerfectFutureList):
        return list(value)
    if isinstance(value, PerfectFuture):
        value = value.result()
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__iter__") or hasattr(value, "read"):
        return unmapped(value)
    return list(value)


def _item(items: Any, i: int) -> Any:
    if isinstance(items, list):
        return items[i]
    return items.value if isinstance(items, unmapped) else items
