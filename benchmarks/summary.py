"""The table at the top of docs/benchmarks.md: every workload, Perfect and each peer, from their last measurements."""

import statistics
from collections.abc import Iterable
from typing import Any

from figures import number
from peers.side import FIGURES

TITLES = ("Restate", "DBOS, SQLite", "DBOS, Postgres", "Prefect", "Prefect, larger batches")
"""The order of the columns; a peer that is not named here comes last."""

SIZED = {"many_runs": ("W2", "runs"), "first_line": ("W3", "triggers")}
BEHIND, LESS = "✗", "†"

HEAD = """\
## Summary

Medians. In brackets: how many times better Perfect was **in the same call**, where both took turns; less than 1 means that
the peer was ahead, which is marked with ✗. A peer that syncs to the disk before it goes on is also compared with Perfect's
*strict* setting, which does the same. Perfect's own columns are medians over all of those calls. – = the peer has no such
thing, or was not asked for it; its own table says why. † = the peer did less of it (see below).
"""


def summary(results: list[dict[str, Any]]) -> str:
    """Of the results of `compare.py`; nothing where no peer was measured."""
    measured = sorted((one for one in results if one["rows"]), key=_place)
    if not measured:
        return ""
    rows = [{row["figure"]: row for row in one["rows"]} for one in measured]
    names = [name for name in FIGURES if any(_is_compared(found.get(name)) for found in rows)]
    text = HEAD + "\n"
    header = ["", "workload", "Perfect", "strict", *(one["peer"] for one in measured)]
    lines = [
        [*_own([found[name] for found in rows if name in found]),
         *(_cell(one, found.get(name)) for one, found in zip(measured, rows, strict=True))]
        for name in names
    ]  # fmt: skip
    text += "".join(f"| {' | '.join(line)} |\n" for line in [header, ["---"] * len(header), *lines])
    text += "\n" + _counted(measured)
    less = [f"{one['peer']}: {', '.join(said)}" for one in measured if (said := did_less(one))]
    if less:
        text += f"\n{LESS} {'; '.join(less)}.\n"
    if missing := [title for title in TITLES if title not in {one["peer"] for one in measured}]:
        text += f"\nNot among the last measurements: {'; '.join(missing)}.\n"
    return text


def did_less(result: dict[str, Any]) -> list[str]:
    """What the peer did less of, in words that begin with the workload."""
    return [
        f"{SIZED[name][0]} with {size} {SIZED[name][1]} instead of {result['sizes'][name]}"
        for name, size in result["peer_sizes"].items()
        if size < result["sizes"][name]
    ]


def _place(result: dict[str, Any]) -> int:
    return TITLES.index(result["peer"]) if result["peer"] in TITLES else len(TITLES)


def _is_compared(row: dict[str, Any] | None) -> bool:
    return row is not None and row["perfect"] is not None


def _own(found: list[dict[str, Any]]) -> list[str]:
    """Workload, label, what Perfect measured in all of the calls, and with strict durability."""
    values = [value for row in found for value in row["perfect_each"]]
    strict = [row["perfect_strict"] for row in found if row["perfect_strict"] is not None]
    said = [number(statistics.median(one)) if one else "–" for one in (values, strict)]
    return [found[0]["workload"], f"{found[0]['label']}, {found[0]['unit']}", *said]


def _cell(result: dict[str, Any], row: dict[str, Any] | None) -> str:
    if row is None or row["peer"] is None:
        return "–"
    is_less = any(said.startswith(row["workload"]) for said in did_less(result))
    said = number(row["peer"]) + (LESS if is_less else "")
    ratios = [times(row["ahead"])] if row["ahead"] is not None else []
    if row.get("ahead_strict") is not None:
        ratios.append(f"strict {times(row['ahead_strict'])}")
    return said + (f" ({', '.join(ratios)})" if ratios else "")


def times(ahead: float) -> str:
    """How many times better Perfect is, marked where it is not."""
    return f"{number(ahead)} ×" + (f" {BEHIND}" if ahead <= 1 else "")


def _counted(measured: Iterable[dict[str, Any]]) -> str:
    """How often Perfect was ahead, and of each time that it was not."""
    every = [(one["peer"], row) for one in measured for row in one["rows"] if row["ahead"] is not None]
    behind = [(peer, row) for peer, row in every if row["ahead"] <= 1]
    strict = [(peer, row) for peer, row in every if (row.get("ahead_strict") or 2) <= 1]
    text = f"Perfect was ahead in {len(every) - len(behind)} of {len(every)} comparisons.\n"
    for what, found, key in (
        ("It was not ahead of", behind, "ahead"),
        ("With *strict* it was not ahead of", strict, "ahead_strict"),
    ):
        for peer in dict.fromkeys(peer for peer, _ in found):
            said = "; ".join(f"{_said(row)} ({number(row[key])} ×)" for one, row in found if one == peer)
            text += f"- {what} {peer} in: {said}.\n"
    return text


def _said(row: dict[str, Any]) -> str:
    label = FIGURES[row["figure"]].label if row["figure"] in FIGURES else row["label"]
    return f"{row['workload']}, {row['label'] if '{' in label else label.removeprefix('… ')}"
