"""`perfect trigger FLOW -p k=v`."""

import argparse
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json
from perfect_sdk.cli.parameters import add_parameters, add_system, parse_parameters


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "trigger", help="start a run of a flow on a worker", description="Start a run of a registered flow."
    )
    parser.add_argument("flow", metavar="FLOW", help="name or id")
    add_parameters(parser)
    parser.add_argument(
        "--config",
        dest="configuration",
        choices=["development", "debug", "release"],
        default="development",
        help="how much is logged (default: development)",
    )
    parser.add_argument("--tag", dest="tags", action="append", default=[], help="may be given several times")
    parser.add_argument(
        "--idempotency-key", metavar="KEY", help="the same key starts one run only, for 24 hours"
    )
    parser.add_argument(
        "--at",
        metavar="TIME",
        help="start it then: ISO 8601 with a time zone, as 2026-05-01T12:00:00+02:00 (default: now)",
    )
    parser.add_argument(
        "--watch", action="store_true", help="follow the run; the exit code tells how it ended"
    )
    add_system(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {
        "configuration": arguments.configuration,
        "parameters": parse_parameters(arguments.parameters),
        "tags": arguments.tags,
    }
    if arguments.idempotency_key:
        body["idempotency_key"] = arguments.idempotency_key
    if arguments.at:
        body["scheduled_for"] = arguments.at
    gateway = Gateway.of(arguments)
    triggered = gateway.post(f"/api/engine/trigger/{quote(arguments.flow, safe='')}", body)
    code = OK
    if arguments.watch:
        from perfect_sdk.cli.watching import watch

        if not arguments.json:
            print(f"run {triggered['id']}")
        triggered, code = watch(gateway, triggered["id"], quiet=arguments.json)
    if arguments.json:
        print_json(triggered)
    elif not arguments.watch:
        print(triggered["id"])
    return code
