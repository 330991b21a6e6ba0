"""The statements of the projector, by name. They stand in the `.sql` files beside this one, each under a line
`-- name: <name>`. `{insert_…}` in one stands for the columns that the statement of that name writes.
"""

import functools
import re
from importlib import resources
from typing import Any, NamedTuple

MOST_PARSED = 500
_parsed: dict[str, Any] = {}
_HEADING = re.compile(r"^-- name: ([\w.]+)$", re.MULTILINE)
_COLUMN = re.compile(r"unnest\((.*?)\$\d+::(.*)\) AS (\w+)")
_COLUMNS_OF = re.compile(r"\{((?:insert|merge)_\w+)\}")


class Column(NamedTuple):
    """Of a statement that takes lists: `unnest(<before>$1::<after>) AS <name>`."""

    before: str
    after: str
    name: str

    def value(self, parameter: int) -> str:
        return f"unnest({self.before}${parameter}::{self.after}) AS {self.name}"

    @property
    def is_id(self) -> bool:
        return "UUID" in self.after


@functools.cache
def statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            parts = _HEADING.split(file.read_text())
            found |= {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return {name: _COLUMNS_OF.sub(lambda at: _read_back(found[at[1]]), text) for name, text in found.items()}


def columns_of(name: str) -> list[Column]:
    """What the statement writes, in the order of its parameters."""
    return _parsed_columns(statement(name))


def _parsed_columns(text: str) -> list[Column]:
    return [Column(*found) for found in _COLUMN.findall(text)]


def _read_back(text: str) -> str:
    """The columns that a statement writes, as they are selected: ids as texts."""
    return ", ".join(f"{one.name}::VARCHAR" if one.is_id else one.name for one in _parsed_columns(text))


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
