"""How the attributes of `perfect_sdk.runtime` are read."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Reading: TypeAlias = Mapping[str, tuple[Callable[[T], Any], Callable[[], Any] | None]]
"""Attribute → how it is read of what runs, and what makes its value outside of a run (None: it is None)."""


def page_of(path: str) -> str | None:
    """The address of the path on the running system's web page, None where there is none."""
    from perfect_bus.settings import Settings, find_connection
    from perfect_schemas.errors import PerfectError

    try:
        connection = find_connection(Settings.load())
    except PerfectError:
        return None
    return f"{connection.gateway}{path}" if connection is not None and connection.gateway else None
