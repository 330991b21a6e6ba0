"""`perfect events [RUN] [--follow]`: what happened, event by event."""

import argparse
from collections.abc import Iterator
from typing import Any

from perfect_sdk.cli import run_reference
from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json_line, show_duration, show_run, show_time
from perfect_sdk.cli.parameters import RUN_HELP, add_system
from perfect_sdk.cli.parser import at_least

PAGE = 1000


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "events",
        help="what happened, event by event, and what happens",
        description="The events of a run, or the last ones of the whole system. With --json a line of JSON each.",
    )
    parser.add_argument("run_id", nargs="?", metavar="RUN", help=f"only of this run: {RUN_HELP}")
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="go on with what happens: until Ctrl-C, of a run until its end",
    )
    parser.add_argument(
        "--type", dest="kind", metavar="TYPE", help="only those whose type begins so, as task. or run.failed"
    )
    parser.add_argument("--logs", action="store_true", help="log lines, too")
    parser.add_argument(
        "--limit",
        type=at_least(0),
        default=50,
        metavar="N",
        help="begin at most N events back, without RUN (50)",
    )
    add_system(parser)
    parser.set_defaults(run=events)


def events(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    run_id = run_reference.find(gateway, arguments.run_id) if arguments.run_id else None
    if run_id is not None and not arguments.follow:
        found = _of_run(gateway, run_id)
    elif run_id is not None:
        found = _following(gateway, after="0.0", run_id=run_id, logs=arguments.logs)
    else:
        now = gateway.position()
        last, logs = now.sequences
        after = f"{max(last - arguments.limit, 0)}.{logs}"
        until = None if arguments.follow else last
        found = _following(gateway, after=after, logs=arguments.logs, until=until)
    for event in found:
        if arguments.kind and not event["type"].startswith(arguments.kind):
            continue
        if arguments.json:
            print_json_line(event)
        elif arguments.quiet:
            print(event["type"], flush=True)
        else:
            print(line(event), flush=True)
    return OK


def _of_run(gateway: Gateway, run_id: str) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page, cursor = gateway.page(f"/api/engine/runs/{run_id}/events", limit=PAGE, cursor=cursor)
        for one in page:
            yield one["event"]
        if cursor is None:
            return


def _following(
    gateway: Gateway, *, after: str, run_id: str | None = None, logs: bool, until: int | None = None
) -> Iterator[dict[str, Any]]:
    """Until the run's end, the sequence `until`, or for ever: a stream that ends is taken up where it was."""
    from perfect_sdk.cli.run_end import ENDS

    if until is not None and until <= int(after.partition(".")[0]):
        return
    while True:
        with gateway.stream(
            "/api/events", run_id=run_id, after=after, logs="true" if logs else "false",
            definitions="false" if run_id or until is not None else "true",
        ) as messages:  # fmt: skip
            for message in messages:
                if message.name == "message":
                    after = message.position
                    yield message.data
                    if message.data["type"] in ENDS and run_id is not None:
                        return
                if until is not None and (message.sequences[0] >= until or message.name == "ping"):
                    return


def line(event: dict[str, Any]) -> str:
    """For people: when, of which run, what, and the most telling of its fields."""
    detail = [
        str(event[name])
        for name in ("task_key", "flow_name", "name", "file", "reason", "message")
        if event.get(name)
    ]
    if "task_key" in event and event.get("name"):
        detail.remove(event["name"])
    if event.get("duration_ms") is not None:
        detail.append(show_duration(event["duration_ms"]))
    if event.get("attempt", 1) > 1:
        detail.append(f"try {event['attempt']}")
    if isinstance(event.get("error"), dict):
        detail.append(event["error"].get("message", "").partition("\n")[0])
    if event["type"] == "log.written":
        detail = [one["message"] for one in event["lines"]]
    run = f"  {show_run(event['run_id'])}" if event.get("run_id") else ""
    return f"{show_time(event['at'])}{run}  {event['type']:<16} {'  '.join(detail)}".rstrip()
