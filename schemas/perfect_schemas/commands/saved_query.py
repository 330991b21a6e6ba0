"""Saved SQL queries."""

from datetime import datetime

import msgspec


class SaveQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.save_query`. Answer: Done. Under a name that is taken it replaces what was there."""

    name: str
    text: str
    by: str = ""


class RemoveQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.remove_query`. Answer: Done. NotFound when none has that name."""

    name: str
    by: str = ""


class ShowQueries(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.queries`. Answer: list[SavedQuery] by name."""


class SavedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """text: one statement of SQL."""

    name: str
    text: str
    saved_at: datetime
    by: str = ""
