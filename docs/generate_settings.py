"""Writes docs/settings.md from the struct `Settings`. `--check` only says whether it is up to date (exit 1: no)."""

import re
import sys
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from perfect_bus.settings import Settings

PAGE = Path(__file__).with_name("settings.md")

HEAD = """\
# Settings

Generated from `Settings` in `schemas/perfect_bus/settings.py` by `just docs`; do not edit.

Each can be set in the environment, or by its name in small letters in `perfect.toml` in the working folder. A command's
options win over the environment, that over the file, and that over the default. `perfect config` prints what holds, and
where each value came from.
"""

ALONE = """\

Read by themselves, by a script that calls a flow:

| variable | meaning |
|---|---|
| `PERFECT_OFFLINE` | 1 = do not look for a running system: the run is not recorded |
| `PERFECT_CONFIGURATION` | `development` (the default), `debug` or `release`, for runs that begin with a plain call |
"""


def described() -> list[tuple[list[str], str]]:
    """(names, what is said of them), from the struct's docstring: `name: text` or `one, another: text of both`."""
    names = "|".join(sorted(Settings.__struct_fields__, key=len, reverse=True))
    text = " ".join((Settings.__doc__ or "").split())
    heads = list(re.finditer(rf"(?<![\w`])((?:{names})(?:, (?:{names}))*): ", text))
    found = []
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        said = text[head.end() : after.start() if after else len(text)].strip().rstrip(".")
        found.append((head[1].split(", "), said))
    return found


def kind(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(kind(one) for one in get_args(hint) if one is not types.NoneType)
    return {"Path": "path", "str": "text", "int": "whole number", "float": "number", "bool": "true or false"}[
        hint.__name__
    ]


def unit(name: str) -> str:
    for ending, unit in (("_ms", "ms"), ("_bytes", "bytes"), ("_days", "days"), ("_s", "s")):
        if name.endswith(ending):
            return f", {unit}"
    return ", s" if name == "suspend_after" else ""


def default(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, int) and value >= 1024**2 and value % 1024**2 == 0:
        size = f"{value // 1024**3} GiB" if value % 1024**3 == 0 else f"{value // 1024**2} MiB"
        return f"`{value}` ({size})"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`"


def page() -> str:
    """Raises ValueError for a setting that the docstring says nothing of."""
    hints, values = get_type_hints(Settings), Settings()
    rows = ["| variable | value | default | meaning |", "|---|---|---|---|"]
    told: set[str] = set()
    for names, text in described():
        told.update(names)
        for n, name in enumerate(names):
            said = text if n == 0 else "see above"
            shown = f"{kind(hints[name])}{unit(name)}"
            rows.append(f"| `PERFECT_{name.upper()}` | {shown} | {default(getattr(values, name))} | {said} |")
    if untold := set(Settings.__struct_fields__) - told:
        raise ValueError(f"the docstring of Settings says nothing of {', '.join(sorted(untold))}")
    return f"{HEAD}\n" + "\n".join(rows) + f"\n{ALONE}"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text() == page() else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
