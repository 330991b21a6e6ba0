"""`perfect stats [FLOW]`: how long tasks and flows take, by all their completions."""

import argparse
from typing import Any

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json, print_table, show_duration
from perfect_sdk.cli.parameters import add_system
from perfect_sdk.cli.parser import at_least
from perfect_sdk.cli.suggestion import require_flow

DURATIONS = ("avg_duration_ms", "std_dev_ms", "p50_ms", "p95_ms", "p99_ms", "max_duration_ms")
HEAD = ("COUNT", "AVERAGE", "STD DEV", "P50", "P95", "P99", "LONGEST")
PARTS = {"configuration": "configuration", "version": "flow_version", "day": "day"}


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "stats",
        help="how long flows and tasks take",
        description="Durations of every flow and task that ran to completion: of all time, the percentiles of the last days.",
    )
    parser.add_argument("flow", nargs="?", metavar="FLOW", help="of this flow only: name or id")
    parser.add_argument("--task", metavar="TASK", help="of this task only: name or id")
    parser.add_argument(
        "--by", choices=tuple(PARTS), help="a row for each configuration, flow version or day"
    )
    parser.add_argument(
        "--days", type=at_least(1), default=30, metavar="N", help="how far back percentiles go (30)"
    )
    add_system(parser)
    parser.set_defaults(run=stats)


def stats(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    part = PARTS.get(arguments.by or "")
    found = gateway.get(
        "/api/statistics", flow=arguments.flow, task=arguments.task, by=part, days=arguments.days
    )
    if not found["flows"] and not found["tasks"]:
        require_flow(gateway, arguments.flow)
    if arguments.json:
        print_json(found)
        return OK
    if not found["flows"] and not found["tasks"]:
        print("nothing has completed yet")
        return OK
    by = [arguments.by.upper()] if part else []
    for title, rows in (("FLOW", found["flows"]), ("TASK", found["tasks"])):
        if not rows:
            continue
        if title == "TASK" and found["flows"]:
            print()
        print_table(
            [title, *by, *HEAD],
            [
                [
                    row["flow_name"]
                    if row["task_name"] is None
                    else f"{row['flow_name']} / {row['task_name']}",
                    *([str(row[part])] if part else []),
                    str(row["sample_count"]),
                    *(show_duration(row[name]) for name in DURATIONS),
                ]
                for row in rows
            ],
            empty="",
            whole=HEAD,
        )
    return OK
