"""What commands print: tables, times, durations, JSON. On a terminal tables fit it; in a pipe nothing is cut or coloured."""

import argparse
import json
import shutil
import sys
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from perfect_sdk.cli.exits import OK

GAP = 2  # between columns
NARROWEST = 8
WIDE = 120  # columns of a terminal from which on whole ids are shown
STATE_STYLES = {
    "COMPLETED": "green",
    "CACHED": "green",
    "RUNNING": "cyan",
    "FAILED": "bold red",
    "CRASHED": "bold red",
    "CANCELLED": "magenta",
    "CANCELLING": "magenta",
    "PAUSED": "yellow",
    "PENDING": "yellow",
    "SCHEDULED": "yellow",
    "RETRYING": "yellow",
}


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def print_json_line(value: Any) -> None:
    """One value of many: a line each, at once."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_list(
    arguments: argparse.Namespace,
    found: Sequence[dict[str, Any]],
    *,
    key: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    empty: str,
    whole: Collection[str] = (),
) -> int:
    """A list as every `ls` shows it: as it came with --json, the `key` of each with --quiet, else a table. Returns 0."""
    if arguments.json:
        print_json(found)
    elif arguments.quiet:
        for one in found:
            print(one[key])
    else:
        print_table(head, rows, empty=empty, whole=whole)
    return OK


def print_done(arguments: argparse.Namespace, answer: Any, text: str, *, value: str | None = None) -> int:
    """What a command has done: the answer with --json, the `value` if there is one with --quiet, else a sentence.
    Returns 0.
    """
    if arguments.json:
        print_json(answer)
    elif not arguments.quiet:
        print(text)
    elif value is not None:
        print(value)
    return OK


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, whole: Collection[str] = ()
) -> None:
    """Columns as wide as their contents; the last one is not padded. In a terminal that is too narrow cells are cut, but
    not those of the columns `whole`.
    """
    if not rows:
        print(empty)
        return
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    if is_terminal() and _rich_table(head, rows, widths, whole):
        return
    _print_columns(head, rows, widths)


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """The same anywhere: nothing is cut or coloured."""
    if not rows:
        print(empty)
        return
    _print_columns(
        head, rows, [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    )


def _print_columns(head: Sequence[str], rows: Sequence[Sequence[str]], widths: list[int]) -> None:
    for row in [head, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], widths: list[int], whole: Collection[str]
) -> bool:
    """False when rich is not installed."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    is_whole = [title in whole for title in head]
    for title, width in zip(head, fitted(widths, is_whole, console.width), strict=True):
        table.add_column(Text(title), no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(
            *(
                Text(" ".join(cell.split("\n")), style=STATE_STYLES.get(cell, "") if title == "STATE" else "")
                for title, cell in zip(head, row, strict=True)
            )
        )
    console.print(table)
    return True


def fitted(widths: list[int], is_whole: list[bool], room: int) -> list[int]:
    """The widths in `room` columns: the widest are made narrower one by one, but for those that are to be whole."""
    found = list(widths)
    while sum(found) + GAP * (len(found) - 1) > room:
        widest = max(
            (n for n, whole in enumerate(is_whole) if not whole), key=found.__getitem__, default=None
        )
        if widest is None or found[widest] <= NARROWEST:
            break
        found[widest] -= 1
    return found


def is_terminal() -> bool:
    return sys.stdout.isatty()


def show_run(run_id: str) -> str:
    """The whole id, but on a narrow terminal its last twelve characters, by which it is found as well."""
    if is_terminal() and shutil.get_terminal_size().columns < WIDE:
        return run_id.rpartition("-")[2]
    return run_id


def show_time(text: str | None) -> str:
    """ISO 8601 UTC → local time to the second."""
    if not text:
        return "–"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def show_duration(ms: float | None) -> str:
    if ms is None:
        return "–"
    if ms < 1:
        return "< 1 ms"
    if ms < 1000:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def show_percent(progress: float | None) -> str:
    return "–" if progress is None else f"{progress:.0f} %"
