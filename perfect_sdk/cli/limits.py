"""`perfect limits ls|set|rm`: how many runs or tasks may hold a name at once."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done, print_list, show_run, show_time
from perfect_sdk.cli.parameters import add_system

RUNS_SHOWN = 3


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("limits", help="list, set and remove concurrency limits")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="the limits, who holds them and who waits")
    add_system(ls)
    ls.set_defaults(run=list_limits)
    one = commands.add_parser("set", help="set a limit: `flow:NAME` is that of the runs of a flow")
    one.add_argument("name", metavar="LIMIT")
    one.add_argument("slots", metavar="SLOTS", type=int, help="how many at once; 0 lets nobody in")
    one.add_argument(
        "--decay",
        type=float,
        default=0.0,
        metavar="SLOTS",
        help="a rate, for rate_limit(): so many slots come back in a second",
    )
    add_system(one)
    one.set_defaults(run=set_limit)
    one = commands.add_parser("rm", help="remove a limit: whoever waits goes on")
    one.add_argument("name", metavar="LIMIT")
    add_system(one)
    one.set_defaults(run=remove)


def list_limits(arguments: argparse.Namespace) -> int:
    limits = Gateway.of(arguments).get("/api/engine/limits")
    rows = [
        [
            limit["name"],
            f"{sum(slot['occupy'] for slot in limit['holders'])} of {limit['slots']}",
            _runs(limit["holders"]),
            str(len(limit["waiting"])),
            _runs(limit["waiting"]),
        ]
        for limit in limits
    ]
    return print_list(
        arguments,
        limits,
        key="name",
        head=["LIMIT", "TAKEN", "HELD BY", "WAITING", "NEXT"],
        rows=rows,
        empty="no limits: `perfect limits set NAME SLOTS` sets one",
    )


def set_limit(arguments: argparse.Namespace) -> int:
    limit = Gateway.of(arguments).put(
        _path(arguments.name), {"slots": arguments.slots, "slot_decay_per_second": arguments.decay}
    )
    rate = f", {limit['slot_decay_per_second']:g} a second" if limit["slot_decay_per_second"] else ""
    return print_done(arguments, limit, f"{limit['name']}: {limit['slots']} at once{rate}")


def remove(arguments: argparse.Namespace) -> int:
    Gateway.of(arguments).delete(_path(arguments.name))
    removed = {"name": arguments.name, "removed": True}
    return print_done(arguments, removed, f"{arguments.name}: no limit any more")


def _path(name: str) -> str:
    return f"/api/engine/limits/{quote(name, safe='')}"


def _runs(slots: list[dict[str, Any]]) -> str:
    shown = [
        f"{show_run(slot['holder']['run_id'])} since {show_time(slot['since'])}"
        for slot in slots[:RUNS_SHOWN]
    ]
    more = len(slots) - RUNS_SHOWN
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "") or "–"
