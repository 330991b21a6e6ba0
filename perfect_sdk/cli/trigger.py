"""`perfect trigger FLOW -p k=v`."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.moment import coming
from perfect_sdk.cli.output import print_done
from perfect_sdk.cli.parameters import add_parameters, add_system, add_watch, parse_parameters
from perfect_sdk.cli.suggestion import naming_flow


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "trigger", help="start a run of a flow on a worker", description="Start a run of a registered flow."
    )
    parser.add_argument("flow", metavar="FLOW", help="name or id")
    add_parameters(parser)
    parser.add_argument(
        "--config",
        "--configuration",
        dest="configuration",
        choices=["development", "debug", "release"],
        default="development",
        help="how much is logged (default: development)",
    )
    parser.add_argument("--tag", dest="tags", action="append", default=[], help="may be given several times")
    parser.add_argument("--name", metavar="TEXT", help="a name for the run")
    parser.add_argument("--priority", type=int, metavar="N", help="higher ones go first (default 0)")
    parser.add_argument(
        "--idempotency-key", metavar="KEY", help="the same key starts one run only, for 24 hours"
    )
    parser.add_argument(
        "--at",
        type=coming,
        metavar="TIME",
        help="start it then: 2026-05-01T12:00, with or without a zone, 09:30, or 10m, 2h from now (default: now)",
    )
    add_watch(parser)
    add_system(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {
        "configuration": arguments.configuration,
        "parameters": parse_parameters(arguments.parameters),
        "tags": arguments.tags,
    }
    also = {
        "idempotency_key": arguments.idempotency_key,
        "scheduled_for": arguments.at,
        "name": arguments.name,
        "priority": arguments.priority,
    }
    body |= {name: value for name, value in also.items() if value}
    gateway = Gateway.of(arguments)
    after = gateway.position().position if arguments.watch else ""
    with naming_flow(gateway, arguments.flow):
        triggered = gateway.post(f"/api/engine/trigger/{quote(arguments.flow, safe='')}", body)
    if arguments.watch:
        from perfect_sdk.cli.watching import watch_as_asked

        return watch_as_asked(gateway, triggered["id"], arguments, after=after)
    return print_done(arguments, triggered, triggered["id"], value=triggered["id"])
