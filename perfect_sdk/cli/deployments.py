"""`perfect deployments ls|show|rm|pause|resume`: the named ways to run flows."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.exits import FAILED, OK, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done, print_json, print_list, print_table, show_time
from perfect_sdk.cli.parameters import add_system
from perfect_sdk.cli.suggestion import did_you_mean, require_flow

PATH = "/api/deployments"


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("deployments", help="list, show, pause and remove deployments")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="all deployments, who serves them, and when they run next")
    ls.add_argument("--flow", metavar="FLOW", help="only those of this flow")
    add_system(ls)
    ls.set_defaults(run=list_deployments)
    _one(commands, "show", show, "one deployment with its parameters and schedules")
    _one(commands, "pause", pause, "let none of its schedules fire until it is resumed")
    _one(commands, "resume", resume, "let its schedules fire again")
    _one(commands, "rm", remove, "forget a deployment and its schedules; runs that it started go on")


def _one(commands: Any, verb: str, run: Any, text: str) -> None:
    parser = commands.add_parser(verb, help=text)
    parser.add_argument("deployment", metavar="DEPLOYMENT", help="FLOW/NAME, as `flow.serve(name=…)` made it")
    add_system(parser)
    parser.set_defaults(run=run)


def find(gateway: Gateway, wanted: str) -> dict[str, Any]:
    """Raises Exit for none."""
    known = gateway.get(PATH)
    for one in known:
        if wanted in (_name(one), f"{one['flow_id']}/{one['name']}"):
            return one
    hint = did_you_mean(wanted, [_name(one) for one in known])
    raise Exit(FAILED, f"there is no deployment {wanted!r}{hint or ': `flow.serve(name=…)` makes one'}")


def list_deployments(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    found = gateway.get(PATH, flow=arguments.flow)
    if not found:
        require_flow(gateway, arguments.flow)
    rows = [
        [
            _name(one),
            one["state"],
            "; ".join(schedule["words"] for schedule in one["schedules"]),
            show_time(one["next_at"]),
            ", ".join(one["served_by"]) or "nobody",
        ]
        for one in found
    ]
    return print_list(
        arguments,
        [{**one, "full_name": _name(one)} for one in found],
        key="full_name",
        head=["DEPLOYMENT", "STATE", "WHEN", "NEXT", "SERVED BY"],
        rows=rows,
        empty="no deployments: `flow.serve(name=…)` in a program makes one",
        whole=("DEPLOYMENT", "STATE", "NEXT"),
    )


def show(arguments: argparse.Namespace) -> int:
    one = find(Gateway.of(arguments), arguments.deployment)
    if arguments.json:
        print_json(one)
        return OK
    if arguments.quiet:
        print(_name(one))
        return OK
    print(f"{_name(one)}  {one['state']}")
    if one["description"]:
        print(f"  {one['description']}")
    print(f"  served by  {', '.join(one['served_by']) or 'nobody now'}")
    for name, value in one["parameters"].items():
        print(f"  -p {name}  {value!r}")
    if one["tags"]:
        print(f"  tags  {', '.join(one['tags'])}")
    if one["version"]:
        print(f"  version  {one['version']}")
    if one["concurrency_limit"]:
        print(f"  at once  {one['concurrency_limit']} in the whole system")
    print()
    print_table(
        ["SCHEDULE", "STATE", "WHEN", "NEXT"],
        [
            [schedule["name"], schedule["state"], schedule["words"], show_time(schedule["next_at"])]
            for schedule in one["schedules"]
        ],
        empty=f"no schedules: `perfect trigger '{_name(one)}'` starts a run",
        whole=("SCHEDULE", "STATE", "NEXT"),
    )
    return OK


def pause(arguments: argparse.Namespace) -> int:
    return _turn(
        arguments, "pause", "is paused: none of its schedules fires until `perfect deployments resume`"
    )


def resume(arguments: argparse.Namespace) -> int:
    return _turn(arguments, "resume", "runs by itself again")


def _turn(arguments: argparse.Namespace, verb: str, text: str) -> int:
    gateway = Gateway.of(arguments)
    one = gateway.post(f"{_path(find(gateway, arguments.deployment))}/{verb}")
    coming = f", next at {show_time(one['next_at'])}" if one["next_at"] else ""
    return print_done(arguments, one, f"{_name(one)} {text}{coming}", value=_name(one))


def remove(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    one = find(gateway, arguments.deployment)
    gateway.delete(_path(one))
    removed = {"deployment": _name(one), "removed": True}
    return print_done(arguments, removed, f"{_name(one)} is removed; the runs that it started go on")


def _name(one: dict[str, Any]) -> str:
    return f"{one['flow_name']}/{one['name']}"


def _path(one: dict[str, Any]) -> str:
    return f"{PATH}/{one['flow_id']}/{quote(one['name'], safe='')}"
