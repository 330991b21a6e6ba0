"""`perfect flows ls|show`."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json, print_table, show_duration
from perfect_sdk.cli.parameters import add_system


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("flows", help="list and show flows")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="the registered flows")
    add_system(ls)
    ls.set_defaults(run=list_flows)
    one = commands.add_parser("show", help="one flow with its tasks and parameters")
    one.add_argument("flow", metavar="FLOW", help="name or id")
    add_system(one)
    one.set_defaults(run=show)


def list_flows(arguments: argparse.Namespace) -> int:
    flows = Gateway.of(arguments).get("/api/engine/flows")
    if arguments.json:
        print_json(flows)
        return OK
    rows = [
        [flow["name"], flow["version"], str(len(flow["tasks"])), ", ".join(flow["tags"]), flow["description"]]
        for flow in flows
    ]
    print_table(
        ["FLOW", "VERSION", "TASKS", "TAGS", "DESCRIPTION"],
        rows,
        empty="no flows: start a worker with `perfect worker FILE`",
    )
    return OK


def show(arguments: argparse.Namespace) -> int:
    flow = Gateway.of(arguments).get(f"/api/engine/flows/{quote(arguments.flow, safe='')}")
    if arguments.json:
        print_json(flow)
        return OK
    print(f"{flow['name']}  version {flow['version']}")
    if flow["description"]:
        print(f"  {flow['description']}")
    required = flow["parameters"].get("required", [])
    for name, schema in flow["parameters"].get("properties", {}).items():
        kind = schema.get("type") or schema.get("$ref", "any").rpartition("/")[2]
        default = "required" if name in required else f"default {schema.get('default')!r}"
        print(f"  -p {name}  {kind}, {default}")
    rows = [
        [task["name"], f"{task.get('weight', 1):g}", show_duration(task.get("estimated_time"))]
        for task in flow["tasks"]
    ]
    print_table(["TASK", "WEIGHT", "ESTIMATE"], rows, empty="no tasks")
    return OK
