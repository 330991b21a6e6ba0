"""The statements of the projector, by name. They stand in the `.sql` files beside this one, each under a line
`-- name: <name>`.
"""

import functools
import re
from importlib import resources
from typing import Any

MOST_PARSED = 500
_parsed: dict[str, Any] = {}
_HEADING = re.compile(r"^-- name: ([\w.]+)$", re.MULTILINE)


@functools.cache
def statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            parts = _HEADING.split(file.read_text())
            found |= {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def statement(name: str) -> str:
    return statements()[name]


def select(
    cursor: Any, name: str, where: dict[str, Any] | None = None, *, conditions: str = "", **values: Any
) -> list[tuple[Any, ...]]:
    """Run the statement `name`. `where`: condition → parameters of its own, for the conditions that are to hold.
    conditions: the statement that they are named after, when it is another one.

    Values that begin with `_` fill a placeholder of the statement with text from another statement.
    """
    text = statement(name)
    held = [statement(f"{conditions or name}.where.{condition}") for condition in where or {}]
    text = text.replace("{where}", "WHERE " + " AND ".join(held) if held else "")
    parameters: dict[str, Any] = {}
    for part in (where or {}).values():
        parameters |= part
    for key, value in values.items():
        if key.startswith("_"):
            text = text.replace("{" + key[1:] + "}", value)
        else:
            parameters[key] = value
    return cursor.execute(_read(cursor, text), parameters).fetchall()


def _read(cursor: Any, text: str) -> Any:
    """A statement as DuckDB has read it, for every cursor: that alone is a third of what a wide one takes."""
    found = _parsed.get(text)
    if found is None:
        if len(_parsed) >= MOST_PARSED:
            _parsed.clear()
        (found,) = cursor.extract_statements(text)
        _parsed[text] = found
    return found
