"""`perfect flows ls|show|rm|versions|diff`."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli import flow_versions
from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import (
    print_done,
    print_json,
    print_list,
    print_table,
    show_duration,
    show_run,
    show_time,
)
from perfect_sdk.cli.parameters import add_system
from perfect_sdk.cli.suggestion import naming_flow

RECENT_SHOWN = 5


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("flows", help="list, show and remove flows")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="the registered flows")
    add_system(ls)
    ls.set_defaults(run=list_flows)
    one = commands.add_parser("show", help="one flow with its tasks and parameters")
    one.add_argument("flow", metavar="FLOW", help="name or id")
    add_system(one)
    one.set_defaults(run=show)
    one = commands.add_parser("rm", help="remove a flow from the lists; its history stays")
    one.add_argument("flow", metavar="FLOW", help="name or id")
    add_system(one)
    one.set_defaults(run=remove)
    flow_versions.register(commands)


def list_flows(arguments: argparse.Namespace) -> int:
    flows = Gateway.of(arguments).get("/api/engine/flows")
    rows = [
        [
            flow["name"],
            flow["version"],
            str(len(flow["tasks"])),
            ", ".join(flow["tags"]),
            flow["description"].strip().partition("\n")[0],
        ]
        for flow in flows
    ]
    return print_list(
        arguments,
        flows,
        key="name",
        head=["FLOW", "VERSION", "TASKS", "TAGS", "DESCRIPTION"],
        rows=rows,
        empty="no flows: start a worker with `perfect worker FILE`",
        whole=("FLOW", "VERSION"),
    )


def show(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    with naming_flow(gateway, arguments.flow):
        flow = gateway.get(_path(arguments.flow))
    if arguments.json:
        print_json(flow)
        return OK
    if arguments.quiet:
        print(flow["id"])
        return OK
    print(f"{flow['name']}  version {flow['version']}")
    if flow["description"]:
        print(f"  {flow['description']}")
    required = flow["parameters"].get("required", [])
    for name, schema in flow["parameters"].get("properties", {}).items():
        kind = schema.get("type") or schema.get("$ref", "any").rpartition("/")[2]
        default = "required" if name in required else f"default {schema.get('default')!r}"
        print(f"  -p {name}  {kind}, {default}")
    for schedule in flow["schedules"]:
        print(f"  schedule  {schedule}")
    usual = flow.get("statistics")
    if usual:
        count = usual["sample_count"]
        of = f"on average of {count} completed runs" if count > 1 else "the one time that it completed"
        print(f"  takes  {show_duration(usual['avg_duration_ms'])} {of}")
    print()
    rows = [
        [task["name"], f"{task.get('weight', 1):g}", show_duration(task.get("estimated_time"))]
        for task in flow["tasks"]
    ]
    print_table(["TASK", "WEIGHT", "ESTIMATE"], rows, empty="no tasks")
    if flow.get("recent"):
        print()
        print_table(
            ["RUN", "STATE", "STARTED", "TOOK"],
            [
                [
                    show_run(run["id"]),
                    run["state"],
                    show_time(run["start_time"]),
                    show_duration(run["duration_ms"]),
                ]
                for run in flow["recent"][:RECENT_SHOWN]
            ],
            empty="",
            whole=("RUN", "STATE"),
        )
    return OK


def remove(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    with naming_flow(gateway, arguments.flow):
        gateway.delete(_path(arguments.flow))
    removed = {"flow": arguments.flow, "removed": True}
    return print_done(arguments, removed, f"{arguments.flow} is removed; its history stays")


def _path(flow: str) -> str:
    return f"/api/engine/flows/{quote(flow, safe='')}"
