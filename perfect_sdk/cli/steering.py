"""`perfect runs pause|resume|retry|fork`."""

import argparse
import json
from typing import Any

from perfect_sdk.cli import run_reference
from perfect_sdk.cli.exits import USAGE, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done
from perfect_sdk.cli.parameters import add_parameters, add_run, add_system, add_watch, parse_parameters


def register(commands: Any) -> None:
    """Into the commands of `perfect runs`."""
    one = commands.add_parser("pause", help="stop a running run at its next call, until it is resumed")
    add_run(one)
    add_system(one)
    one.set_defaults(run=pause, watch=False)

    one = commands.add_parser("resume", help="end a pause that waits for input")
    add_run(one)
    one.add_argument("--input", metavar="VALUE", help="read as JSON where it is JSON, as text otherwise")
    one.add_argument(
        "--key", metavar="KEY", help="which pause, when the run waits for several inputs at once"
    )
    add_parameters(one, help="a field of the input, for one that has fields")
    _finish(one, resume)

    one = commands.add_parser("retry", help="try a failed run again: what completed is not done again")
    add_run(one)
    one.add_argument("--from", dest="from_key", metavar="TASK", help="the key of the first task to run again")
    _finish(one, retry)

    one = commands.add_parser("fork", help="a new run that takes over the results of a run up to a task")
    add_run(one)
    one.add_argument("--from", dest="from_key", metavar="TASK", help="the key of the first task to run again")
    add_parameters(one)
    _finish(one, fork)


def _finish(parser: argparse.ArgumentParser, run: Any) -> None:
    add_watch(parser)
    add_system(parser)
    parser.set_defaults(run=run)


def pause(arguments: argparse.Namespace) -> int:
    return _act(
        arguments, "pause", {}, "is being paused: it stops at its next call of a task, a child flow or a wait"
    )


def resume(arguments: argparse.Namespace) -> int:
    if arguments.input is not None and arguments.parameters:
        raise Exit(USAGE, "give either --input or -p NAME=VALUE, not both")
    given: Any = parse_parameters(arguments.parameters) if arguments.parameters else None
    if arguments.input is not None:
        try:
            given = json.loads(arguments.input)
        except ValueError:
            given = arguments.input
    body = {"input": given} | ({"key": arguments.key} if arguments.key else {})
    return _act(arguments, "resume", body, "goes on")


def retry(arguments: argparse.Namespace) -> int:
    return _act(arguments, "retry", {"from_key": arguments.from_key}, "is tried again")


def fork(arguments: argparse.Namespace) -> int:
    body: dict[str, Any] = {"from_key": arguments.from_key}
    if arguments.parameters:
        body["parameters"] = parse_parameters(arguments.parameters)
    return _act(arguments, "fork", body, "is forked from {}")


def _act(arguments: argparse.Namespace, verb: str, body: dict[str, Any], done: str) -> int:
    gateway = Gateway.of(arguments)
    run_id = run_reference.find(gateway, arguments.run_id)
    run = gateway.post(f"/api/engine/runs/{run_id}/{verb}", body)
    if arguments.watch:
        from perfect_sdk.cli.watching import watch_as_asked

        return watch_as_asked(gateway, run["id"], arguments)
    return print_done(arguments, run, f"run {run['id']} {done.format(run_id)}", value=run["id"])
