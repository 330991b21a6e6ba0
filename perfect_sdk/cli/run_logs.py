"""`perfect runs logs RUN`: the log lines of a run, and those to come."""

import argparse
from collections.abc import Iterator
from typing import Any

from perfect_sdk.cli import run_reference
from perfect_sdk.cli.exits import OK, USAGE, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json_line, show_time
from perfect_sdk.cli.parameters import add_run, add_system
from perfect_sdk.cli.parser import at_least

PAGE = 1000
LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
FOLLOWED = ("at", "level", "message", "logger", "task_run_id", "task_key")


def register(commands: Any) -> None:
    """Into the commands of `perfect runs`."""
    one = commands.add_parser("logs", help="the log lines of a run")
    add_run(one)
    one.add_argument(
        "-f", "--follow", action="store_true", help="go on with what is written, until the run has ended"
    )
    one.add_argument(
        "--level",
        type=level,
        default=0,
        metavar="LEVEL",
        help="lowest level: debug, info, warning, error, or a number",
    )
    one.add_argument("--text", help="only lines that have it in them, whatever the case")
    one.add_argument(
        "--tail", type=at_least(1), metavar="N", help="only the last N lines (of those there are)"
    )
    add_system(one)
    one.set_defaults(run=logs)


def level(text: str) -> int:
    """An argparse type. Raises ArgumentTypeError."""
    numbers = {name: number for number, name in LEVELS.items()} | {"WARN": 30}
    if text.upper() in numbers:
        return numbers[text.upper()]
    if text.isdecimal() and int(text) <= 100:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no level: debug, info, warning, error, critical, or a number up to 100"
    )


def logs(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    run_id = run_reference.find(gateway, arguments.run_id)
    if arguments.tail is not None and (arguments.tail > PAGE or arguments.follow):
        raise Exit(USAGE, f"--tail goes up to {PAGE} lines, and not with --follow")
    for line in (
        _followed(gateway, run_id, arguments) if arguments.follow else _written(gateway, run_id, arguments)
    ):
        if arguments.json:
            print_json_line(line)
        elif arguments.quiet:
            print(line["message"], flush=True)
        else:
            print(f"{show_time(line['at'])}  {line['level']:<8} {line['message']}", flush=True)
    return OK


def _written(gateway: Gateway, run_id: str, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    query = {"level": arguments.level or None, "text": arguments.text}
    from perfect_sdk.cli.run_end import lines

    if arguments.tail is None:
        return lines(gateway, run_id, **query)
    path = f"/api/engine/runs/{run_id}/logs"
    return iter(gateway.get(path, limit=arguments.tail, tail="true", **query))


def _followed(gateway: Gateway, run_id: str, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """From the first line that the streams still have; what stands behind the run's end comes from the read model."""
    from perfect_schemas.states import FINAL_RUN_STATES
    from perfect_sdk.cli.run_end import ENDS, lines_behind, settled

    run = gateway.get(f"/api/engine/runs/{run_id}")
    if run["state"] in FINAL_RUN_STATES:
        yield from _written(gateway, run_id, arguments)
        return
    seq = 0
    with gateway.stream("/api/events", run_id=run_id, after="0.0") as events:
        for message in events:
            if message.name != "message":  # a signal: was the end among what has left the streams?
                if gateway.get(f"/api/engine/runs/{run_id}")["state"] in FINAL_RUN_STATES:
                    break
                continue
            event = message.data
            if event["type"] in ENDS:
                break
            if event["type"] == "log.written":
                seq = message.sequences[1]
                for n, line in enumerate(event["lines"]):
                    if line["level"] >= arguments.level and (
                        not arguments.text or arguments.text.lower() in line["message"].lower()
                    ):
                        yield _as_view(line, seq, n)
    settled(gateway, run_id)
    yield from lines_behind(gateway, run_id, seq, level=arguments.level or None, text=arguments.text)


def _as_view(line: dict[str, Any], seq: int, n: int) -> dict[str, Any]:
    """In the shape of the API's log lines."""
    number = line["level"]
    level_name = LEVELS.get(number - number % 10, "INFO")
    shown = {name: line.get(name) for name in FOLLOWED}
    return {"seq": seq, "n": n, **shown, "level": level_name, "logger": line.get("logger", "perfect")}
