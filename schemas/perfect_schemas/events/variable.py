"""Variables: values that flows read by name. Subject: `perfect.evt.variable.<variable id>` on DEFS, by the registry.

Secrets are not among them: their values are in no event.
"""

import msgspec

from perfect_schemas.envelope import Event


class VariableSet(Event, frozen=True, kw_only=True, omit_defaults=True, tag="variable.set"):
    """value: any JSON. by: who wanted it."""

    name: str
    value: msgspec.Raw
    tags: list[str] = []
    by: str = ""


class VariableRemoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="variable.removed"):
    name: str
    by: str = ""
