"""A query's result as cells: text, and how it stands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

NUMBERS = frozenset(
    f"{sign}{name}"
    for sign in ("", "U")
    for name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
)
LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """href: of a run's id. empty: NULL."""

    text: str
    right: bool
    href: str | None = None
    empty: bool = False


def is_number(kind: str) -> bool:
    return not kind.endswith("]") and kind.partition("(")[0] in NUMBERS


def is_time(kind: str) -> bool:
    return not kind.endswith("]") and kind.startswith(("TIMESTAMP", "DATE"))


def cells(columns: list[str], types: list[str], rows: list[list[Any]]) -> list[list[Cell]]:
    right = [is_number(kind) for kind in types]
    return [
        [
            Cell(
                text=shown(value),
                right=right[n],
                href=f"/runs/{value}" if columns[n] == "run_id" and types[n] == "UUID" and value else None,
                empty=value is None,
            )
            for n, value in enumerate(row)
        ]
        for row in rows
    ]


def shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        text = value
    elif isinstance(value, float):
        text = f"{value:.15g}"
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
