"""Writes docs/run-states.md from the table of legal moves. `--check` only says whether it is up to date (exit 1: no)."""

import sys
from pathlib import Path

from perfect_schemas.folds.moves import MOVES
from perfect_schemas.states import FINAL_RUN_STATES, RunState

PAGE = Path(__file__).with_name("run-states.md")

HEAD = """\
# The states of a run

Generated from `MOVES` in `schemas/perfect_schemas/folds/moves.py` by `just docs`; do not edit.

Each arrow is an event on `perfect.evt.run.<run_id>`. What has no arrow is illegal: the guard on the run's subject keeps
it from being stored, and a fold ignores it.
"""


def diagram() -> str:
    lines = ["stateDiagram-v2"]
    for state, moves in MOVES.items():
        arrows: dict[RunState, list[str]] = {}
        for event, after in moves.items():
            arrows.setdefault(after, []).append(event.__struct_config__.tag)
        for after, names in arrows.items():
            lines.append(f"    {state or '[*]'} --> {after}: {', '.join(names)}")
    lines += [f"    {state} --> [*]" for state in RunState if state in FINAL_RUN_STATES]
    return "\n".join(lines)


def table() -> str:
    rows = ["| state | event | next state |", "|---|---|---|"]
    for state, moves in MOVES.items():
        for event, after in moves.items():
            rows.append(f"| {state or '(none)'} | `{event.__struct_config__.tag}` | {after} |")
    return "\n".join(rows)


def page() -> str:
    return f"{HEAD}\n```mermaid\n{diagram()}\n```\n\n{table()}\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text() == page() else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
