"""`perfect schedules create FLOW --cron '30 2 * * *'`, and what one like it would mean."""

import argparse
from datetime import datetime
from typing import Any

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.moment import coming as coming_moment
from perfect_sdk.cli.moment import span
from perfect_sdk.cli.output import print_done, print_json, print_table, show_time
from perfect_sdk.cli.parameters import add_parameters, add_system, parse_parameters
from perfect_sdk.cli.suggestion import naming_flow

PREVIEWED = 10


def register(commands: Any) -> None:
    parser = commands.add_parser("create", help="have a flow run by itself")
    parser.add_argument("flow", metavar="FLOW", help="name or id")
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--cron", metavar="LINE", help="'30 2 * * *', six fields with seconds first, or @daily …"
    )
    when.add_argument("--every", type=milliseconds, metavar="SPAN", help="90s, 15m, 1h30m, 1d")
    when.add_argument("--rrule", metavar="RULE", help="RFC 5545: 'FREQ=WEEKLY;BYDAY=MO;BYHOUR=9'")
    when.add_argument("--at", type=coming_moment, metavar="TIME", help="once: 2026-05-01T12:00, 18:30, 2h …")
    parser.add_argument("--name", default="default", help="unique within the flow (default: default)")
    parser.add_argument("--timezone", metavar="ZONE", help="by whose clocks, as Europe/Rome (default UTC)")
    parser.add_argument(
        "--jitter", type=milliseconds, default=0, metavar="SPAN", help="start up to that much later"
    )
    parser.add_argument("--catchup", choices=("none", "last", "all"), help="of what passed while nothing ran")
    parser.add_argument(
        "--max-lateness", type=milliseconds, metavar="SPAN", help="skip what is later than that"
    )
    parser.add_argument(
        "--overlap", choices=("allow", "skip", "queue", "cancel_running"), help="with a run before it"
    )
    add_parameters(parser)
    parser.add_argument(
        "--config", choices=("development", "debug", "release"), help="configuration of the runs"
    )
    parser.add_argument("--tag", action="append", default=[], metavar="TAG")
    parser.add_argument("--deployment", metavar="NAME", help="start runs of this deployment")
    parser.add_argument("--paused", action="store_true", help="paused from the beginning")
    parser.add_argument("--dry-run", action="store_true", help="just show when it would fire")
    add_system(parser)
    parser.set_defaults(run=create)


def milliseconds(text: str) -> int:
    """An argparse type."""
    found = span(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no span of time: write it as 90s, 15m, 1h30m or 1d")
    return round(found.total_seconds() * 1000)


def create(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    spec = spec_of(arguments)
    if arguments.dry_run:
        return _preview(gateway, arguments, spec)
    with naming_flow(gateway, arguments.flow):
        made = gateway.post("/api/schedules", {"flow": arguments.flow, "spec": spec})
    after = f"next at {show_time(made['next_at'])}" if made["next_at"] else f"it is {made['state']}"
    text = f"{made['flow_name']}/{made['name']}: {made['words']}; {after}"
    return print_done(arguments, made, text, value=made["id"])


def spec_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was given of it."""
    kind = (
        "cron"
        if arguments.cron
        else "interval"
        if arguments.every
        else "rrule"
        if arguments.rrule
        else "once"
    )
    given = {
        "name": arguments.name,
        "kind": kind,
        "cron": arguments.cron,
        "interval_ms": arguments.every,
        "rrule": arguments.rrule,
        "at": arguments.at,
        "timezone": arguments.timezone,
        "jitter_ms": arguments.jitter or None,
        "catchup": arguments.catchup,
        "max_lateness_ms": arguments.max_lateness,
        "overlap": arguments.overlap,
        "parameters": parse_parameters(arguments.parameters) or None,
        "configuration": arguments.config,
        "tags": arguments.tag or None,
        "deployment": arguments.deployment,
        "active": False if arguments.paused else None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _preview(gateway: Gateway, arguments: argparse.Namespace, spec: dict[str, Any]) -> int:
    found = gateway.post("/api/schedules/preview", {"spec": spec, "n": PREVIEWED})
    if arguments.json:
        print_json(found)
        return OK
    if arguments.quiet:
        for one in found:
            print(one["at"])
        return OK
    print_coming(found)
    return OK


def print_coming(coming: list[dict[str, Any]]) -> None:
    """Instants in local time, in the schedule's zone, and what its clocks do then."""
    print_table(
        ["NEXT", "IN ITS ZONE", "NOTE"],
        [[show_time(one["at"]), _local(one["local"]), one["note"]] for one in coming],
        empty="nothing comes any more",
        whole=("NEXT", "IN ITS ZONE"),
    )


def _local(text: str) -> str:
    return f"{datetime.fromisoformat(text):%a %Y-%m-%d %H:%M:%S} {text[-6:]}"
