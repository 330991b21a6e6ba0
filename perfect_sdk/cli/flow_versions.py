"""`perfect flows versions FLOW` and `perfect flows diff FLOW [A] [B]`."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json, print_list, print_table, show_duration, show_time
from perfect_sdk.cli.parameters import add_system

VERSION_HELP = "a version, the beginning of one, `current`, or `previous`"
TASKS_SHOWN = 40


def register(commands: Any) -> None:
    """Into the commands of `perfect flows`."""
    every = commands.add_parser("versions", help="the versions of a flow, the current one first")
    every.add_argument("flow", metavar="FLOW", help="name or id")
    add_system(every)
    every.set_defaults(run=versions)
    one = commands.add_parser("diff", help="two versions of a flow compared by how long they took")
    one.add_argument("flow", metavar="FLOW", help="name or id")
    one.add_argument(
        "a", metavar="A", nargs="?", default="previous", help=f"{VERSION_HELP} (default: previous)"
    )
    one.add_argument(
        "b", metavar="B", nargs="?", default="current", help=f"{VERSION_HELP} (default: current)"
    )
    add_system(one)
    one.set_defaults(run=diff)


def versions(arguments: argparse.Namespace) -> int:
    found = Gateway.of(arguments).get(f"/api/engine/flows/{quote(arguments.flow, safe='')}/versions")
    rows = [
        [
            one["version"],
            "current" if one["is_current"] else "",
            show_time(one["first_seen_at"]),
            one["client_name"] or "–",
            ", ".join(one["changed"]) or "–",
        ]
        for one in found
    ]
    return print_list(
        arguments,
        found,
        key="version",
        head=["VERSION", "", "FIRST SEEN", "BY", "CHANGED"],
        rows=rows,
        empty="no versions",
        whole=["VERSION"],
    )


def diff(arguments: argparse.Namespace) -> int:
    path = f"/api/engine/flows/{quote(arguments.flow, safe='')}/versions/diff"
    found = Gateway.of(arguments).get(path, a=arguments.a, b=arguments.b)
    if arguments.json:
        print_json(found)
        return OK
    if arguments.quiet:
        print("" if found["run"]["delta_ms"] is None else f"{found['run']['delta_ms']:.0f}")
        return OK
    print(f"{found['flow_name']}: {found['a']['version']} → {found['b']['version']}")
    for side in ("a", "b"):
        one = found[side]
        print(
            f"  {one['version']}  since {show_time(one['first_seen_at'])} by {one['client_name'] or 'HTTP'}"
        )
    rows = [
        _row("whole run", found["run"]),
        *(_row(task["name"], task) for task in found["tasks"][:TASKS_SHOWN]),
    ]
    print_table(["", "A", "B", "CHANGE", "SAMPLES"], rows, empty="")
    if len(found["tasks"]) > TASKS_SHOWN:
        print(f"… and {len(found['tasks']) - TASKS_SHOWN} more tasks")
    if found["run"]["a"] is None or found["run"]["b"] is None:
        print("no run of one of them has completed: there is nothing to compare yet")
    return OK


def _row(name: str, one: dict[str, Any]) -> list[str]:
    counts = [str(side["sample_count"]) if side else "0" for side in (one["a"], one["b"])]
    return [name, _mean(one["a"]), _mean(one["b"]), _change(one), " / ".join(counts)]


def _mean(side: dict[str, Any] | None) -> str:
    if side is None:
        return "–"
    spread = f" ± {show_duration(side['std_dev_ms'])}" if side["std_dev_ms"] else ""
    return show_duration(side["avg_ms"]) + spread


def _change(one: dict[str, Any]) -> str:
    delta = one["delta_ms"]
    if delta is None:
        return "–"
    sign = "+" if delta >= 0 else "−"
    percent = f" ({one['delta_percent']:+.0f} %)" if one["delta_percent"] is not None else ""
    return f"{sign}{show_duration(abs(delta))}{percent}{'' if one['is_clear'] else ', may be chance'}"
