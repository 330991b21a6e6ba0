"""What a paused run is resumed with: `pause_flow_run(wait_for_input=…)`.

    class Approval(RunInput):
        approved: bool
        comment: str = ""

    approval = pause_flow_run(wait_for_input=Approval)

Any type that msgspec knows will do: a builtin type, a dataclass, a Struct, or a pydantic model class.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from perfect_sdk.elsewhere import names_of
from perfect_sdk.encoding.parameters import schema_of
from perfect_sdk.encoding.values import convert
from perfect_sdk.exceptions import NotSupported

if TYPE_CHECKING:
    from typing import Self

__all__ = ["RunInput"]


class RunInput(msgspec.Struct, kw_only=True):
    """Base of inputs with named fields; a field without a default has to be given."""

    @classmethod
    def with_initial_data(cls, description: str | None = None, **values: Any) -> "type[Self]":
        """The same input with these values as defaults, and `description` to be shown beside it."""
        hints = msgspec.structs.fields(cls)
        known = {field.name for field in hints}
        if unknown := values.keys() - known:
            raise NotSupported(
                f"{cls.__name__} has no field {min(unknown)!r}; it has: {', '.join(sorted(known))}"
            )
        fields = [(field.name, field.type, values[field.name]) for field in hints if field.name in values]
        made = msgspec.defstruct(cls.__name__, fields, bases=(cls,), kw_only=True, module=cls.__module__)
        made.__doc__ = description or cls.__doc__
        return made  # type: ignore[return-value]

    @classmethod
    def receive(cls, *_: Any, **__: Any) -> Any:
        raise NotSupported(
            "runs send each other no messages: pass values as parameters, or by pause_flow_run(wait_for_input=…) and "
            "resume_flow_run(run_input=…)"
        )

    send_to = respond = save = load = receive


def input_schema(kind: Any) -> dict[str, Any] | None:
    """JSON Schema of what is waited for; None: anything will do. Raises NotSupported for what is no type."""
    if kind is None or kind is Any:
        return None
    try:
        schema = schema_of(kind)
    except TypeError as error:
        raise NotSupported(
            f"wait_for_input is a type: a builtin one, a dataclass, a Struct, RunInput or a pydantic model, not {kind!r}"
        ) from error
    return schema or None


def from_input(value: Any, kind: Any) -> Any:
    """What the run was resumed with, as the type that it asked for; as it came when it asked for none."""
    return value if kind is None or kind is Any else convert(value, kind)


__getattr__ = names_of(__name__)
