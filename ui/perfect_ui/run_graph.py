"""The graph of a run: its task runs as boxes, each to the right of what its inputs came from. Pure.

A line leads to a task from those that its inputs came from, where the SDK saw that: futures, and objects handed on as
they are. Any other one stands to the right of what had ended when it began; to it a line leads from those in its scope
that were the last to end before (the Hasse diagram of the intervals), and to the first ones in a body from the task that
called them.
Above `GROUP_ABOVE` task runs, one box stands for all of a name in its scope: they come as groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perfect_ui.formats import duration, instant, number, task_number, tone
from perfect_ui.graph_lines import BELOW, BOX_HEIGHT, BOX_WIDTH, Kind, Line, line

GROUP_ABOVE = 40
MOST_BOXES = 200
_ACROSS = 226
_DOWN = 52
_EDGE = 14
_LABEL = 19  # characters that fit into a box
_NAMED = 6  # of those that inputs came from
_MARKS = {"good": "✓", "bad": "✕", "run": "▸", "warn": "↻", "pause": "‖", "wait": "○", "mute": "–"}
_WORST_FIRST = ("bad", "warn", "run", "pause", "wait", "good", "mute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    key: str
    x: int
    y: int
    label: str
    note: str
    title: str
    tone: str
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Coordinates in pixels. left_out: boxes that were too many."""

    width: int
    height: int
    grouped: bool
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    left_out: int
    box_width: int = BOX_WIDTH
    box_height: int = BOX_HEIGHT


@dataclass(slots=True, kw_only=True)
class _Node:
    """start, end: seconds since 1970. within: the name of the node that called it, in `nodes`. tones: how many of each.
    after: names of what its inputs came from, each with how many of its task runs had some.
    """

    key: str
    name: str
    within: str
    start: float
    end: float
    tones: dict[str, int]
    spent_ms: float
    after: Mapping[str, int]
    layer: int = 0
    reach: int = 0  # the last layer of what it called


def run_graph(
    tasks: list[dict[str, Any]], now: str, groups: dict[str, Any] | None = None, *, most: int = MOST_BOXES
) -> Graph:
    """`tasks`: task runs of the API in any order; those that have not started are left out. groups: what stands for
    them when they are many, as `perfect_schemas.drawn.TaskGroupsView`.
    """
    nodes: dict[str, _Node] = {}
    end = instant(now).timestamp()
    if groups is None:
        started = sorted((task for task in tasks if task["start_time"]), key=lambda task: task["start_time"])
        for task in started[:most]:
            nodes[task["task_key"]] = _task(task, nodes, end)
        left_out = len(started) - len(nodes)
    else:
        for group in groups["groups"][:most]:
            nodes[group["family"]] = _group(group, nodes, end)
        left_out = len(groups["groups"]) - len(nodes) + groups["left_out"]
    links = _layered(nodes)
    places = _placed(nodes)
    lines = [line(kind, places[a], places[b], nodes[b].after.get(a, 1)) for kind, a, b in links]
    goes_back = any(places[b][0] <= places[a][0] and a != b for _, a, b in links)
    across = max((x for x, _ in places.values()), default=0)
    down = max((y for _, y in places.values()), default=0)
    return Graph(
        width=across + BOX_WIDTH + _EDGE,
        height=down + BOX_HEIGHT + (BELOW if goes_back else _EDGE),
        grouped=groups is not None,
        boxes=tuple(_box(node, _inputs(name, nodes), *places[name]) for name, node in nodes.items()),
        lines=tuple(lines),
        left_out=left_out,
    )


def _within(name: str, nodes: dict[str, _Node]) -> str:
    caller = name.rpartition("/")[0]
    return caller if caller in nodes else ""


def _task(task: dict[str, Any], nodes: dict[str, _Node], now: float) -> _Node:
    key = task["task_key"]
    start = instant(task["start_time"]).timestamp()
    end = instant(task["end_time"]).timestamp() if task["end_time"] else max(now, start)
    count = task_number(key)
    return _Node(
        key=key,
        name=task.get("run_name") or (f"{task['name']} #{count}" if count > 1 else task["name"]),
        within=_within(key, nodes),
        start=start,
        end=end,
        tones={tone(task["state"]): 1},
        spent_ms=task["duration_ms"] if task["duration_ms"] is not None else (end - start) * 1000,
        after=dict.fromkeys(task.get("after") or (), 1),
    )


def _group(group: dict[str, Any], nodes: dict[str, _Node], now: float) -> _Node:
    start = group["start"] / 1e6
    end = max(now, start) if group["end"] is None else group["end"] / 1e6
    tones: dict[str, int] = {}
    for state, count in group["states"].items():
        tones[tone(state)] = tones.get(tone(state), 0) + count
    return _Node(
        key=group["key"],
        name=group["name"],
        within=_within(group["family"], nodes),
        start=start,
        end=end,
        tones=tones,
        spent_ms=(end - start) * 1000,
        after=group.get("after") or {},
    )


def _layered(nodes: dict[str, _Node]) -> list[tuple[Kind, str, str]]:
    """Gives every node its layer. Returns the links, (kind, from, to)."""
    scopes: dict[str, list[str]] = {}
    for name, node in nodes.items():
        scopes.setdefault(node.within, []).append(name)
    links: list[tuple[Kind, str, str]] = []
    laid: set[str] = set()

    def lay(within: str, first: int) -> int:
        reach = first - 1
        known: list[_Node] = []
        names = scopes.get(within, [])
        for name in names:
            node = nodes[name]
            before = [other for other in known if other.end <= node.start]
            sources = [source for source in node.after if source in nodes]
            further = [nodes[source] for source in sources if source in laid] or before
            node.layer = max((first, *(other.reach + 1 for other in further)))
            newest = max((other.start for other in before), default=0.0)
            links.extend(("input", source, name) for source in sources)
            if not sources:
                links.extend(
                    ("then", other_name, name)
                    for other_name, other in zip(names, known, strict=False)
                    if other.end <= node.start and other.end > newest
                )
            if within and not before:
                links.append(("calls", within, name))
            laid.add(name)
            node.reach = max(node.layer, lay(name, node.layer + 1))
            reach = max(reach, node.reach)
            known.append(node)
        return reach

    lay("", 0)
    return links


def _placed(nodes: dict[str, _Node]) -> dict[str, tuple[int, int]]:
    rows: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    for name, node in nodes.items():
        row = rows.get(node.layer, 0)
        rows[node.layer] = row + 1
        places[name] = (_EDGE + node.layer * _ACROSS, _EDGE + row * _DOWN)
    return places


def _inputs(name: str, nodes: dict[str, _Node]) -> str:
    """What its inputs came from, in words."""
    after = nodes[name].after
    if not after:
        return ""
    named = [
        ("itself" if source == name else nodes[source].name if source in nodes else source)
        + (f" ×{number(many)}" if many > 1 else "")
        for source, many in list(after.items())[:_NAMED]
    ]
    more = f" and {number(len(after) - _NAMED)} more" if len(after) > _NAMED else ""
    return f"; inputs from {', '.join(named)}{more}"


def _box(node: _Node, inputs: str, x: int, y: int) -> Box:
    worst = next(kind for kind in _WORST_FIRST if kind in node.tones)
    many = sum(node.tones.values())
    note = duration(node.spent_ms) if many == 1 else f"×{number(many)}, {duration(node.spent_ms)}"
    failed = node.tones.get("bad", 0)
    if failed and many > 1:
        note = f"{note}, {number(failed)} failed"
    label = node.name if len(node.name) <= _LABEL else f"{node.name[: _LABEL - 1]}…"
    title = f"{node.name}: {note}{inputs}"
    return Box(key=node.key, x=x, y=y, label=label, note=note, title=title, tone=worst, mark=_MARKS[worst])
