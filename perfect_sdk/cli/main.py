"""Parsing, finding commands, and turning errors into sentences and exit codes."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from perfect_sdk.cli.exits import FAILED, INTERRUPTED, NOT_INSTALLED, USAGE, Exit
from perfect_sdk.cli.parser import Parser

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMANDS = (
    "worker",
    "run",
    "trigger",
    "runs",
    "flows",
    "deployments",
    "schedules",
    "limits",
    "variables",
    "secrets",
    "clients",
    "stats",
    "events",
    "report",
    "sql",
    "snapshot",
    "config",
    "completion",
    "version",
    "help",
)
SERVER_COMMANDS = {
    "up": "start everything: NATS, the services, the web page",
    "service": "run one or several services in this process",
    "demo": "start everything with the example workflows and run each of them once",
    "backup": "save the running system to a folder or a file",
    "restore": "make a system again from a backup, in a new folder",
    "rebuild": "make the read model anew from its log, and compare",
    "doctor": "check the system: what it stands on, and that its history holds together",
}
GROUP = "perfect.commands"

Subparsers = Any  # argparse._SubParsersAction[argparse.ArgumentParser], which is private


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["__complete"]:  # asked by the shell at each press of the tab key
        from perfect_sdk.cli.completing import main as complete

        return complete(arguments[1:])
    if arguments[:1] == ["--version"]:
        arguments[0] = "version"
    parser = build(arguments[0] if arguments else "")
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as exit_:  # argparse has said why
        return exit_.code if isinstance(exit_.code, int) else USAGE
    run: Callable[[argparse.Namespace], int] | None = getattr(parsed, "run", None)
    if run is None:
        parser.print_help()
        return USAGE
    return _guarded(run, parsed)


def build(wanted: str = "") -> argparse.ArgumentParser:
    """The parser with the command `wanted`, or with all of them when that is none. Of the server's commands only the
    wanted one is loaded, and of the others their sentence is shown: they import what takes long.
    """
    parser = Parser(
        prog="perfect",
        description="Durable Python workflows.",
        epilog="`perfect COMMAND --help` says more, `perfect help exit-codes` how commands end.",
    )
    parser.add_argument("--version", action="store_true", help="as `perfect version`")
    subparsers = parser.add_subparsers(metavar="COMMAND", title="commands")
    if wanted in COMMANDS:
        _add(subparsers, wanted)
        return parser
    extensions = _extensions()
    if wanted in extensions:
        _add_extension(subparsers, wanted, extensions[wanted])
        return parser
    for name in COMMANDS:
        _add(subparsers, name)
    for name, entry_point in extensions.items():
        if name in SERVER_COMMANDS:
            subparsers.add_parser(name, help=SERVER_COMMANDS[name], add_help=False)
        else:
            _add_extension(subparsers, name, entry_point)
    return parser


def names() -> list[str]:
    """Of all commands."""
    return [*COMMANDS, *_extensions()]


def _add(subparsers: Subparsers, name: str) -> None:
    importlib.import_module(f"perfect_sdk.cli.{name}").register(subparsers)


def _extensions() -> "dict[str, EntryPoint | None]":
    from importlib.metadata import entry_points

    found: dict[str, EntryPoint | None] = dict.fromkeys(SERVER_COMMANDS)
    found.update({point.name: point for point in entry_points(group=GROUP)})
    return found


def _add_extension(subparsers: Subparsers, name: str, point: "EntryPoint | None") -> None:
    """A command whose code is not installed stays visible and says what to install."""
    missing = name
    if point is not None:
        try:
            point.load()(subparsers)
        except ImportError as error:
            missing = error.name or name
        else:
            return
    parser = subparsers.add_parser(
        name, help=SERVER_COMMANDS.get(name, "not installed"), add_help=False, prefix_chars="\0"
    )
    parser.add_argument("rest", nargs="*")
    parser.set_defaults(run=lambda _: _not_installed(name, missing))


def _not_installed(command: str, missing: str) -> int:
    needs = f" ({missing} is missing)" if missing != command else ""
    print(
        f"perfect {command} needs the extra [server], which is not installed{needs}: "
        "pip install 'perfect-flow[server]'",
        file=sys.stderr,
    )
    return NOT_INSTALLED


def _to_the_end(run: Callable[[argparse.Namespace], int], parsed: argparse.Namespace) -> int:
    code = run(parsed)
    sys.stdout.flush()  # here, where it is known what to do when nobody reads it any more
    return code


def _guarded(run: Callable[[argparse.Namespace], int], parsed: argparse.Namespace) -> int:
    try:
        return _to_the_end(run, parsed)
    except Exit as exit_:
        print(f"perfect: {exit_}", file=sys.stderr)
        return exit_.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest at its end
        return FAILED
    except ImportError as error:
        server_only = ("duckdb", "litestar", "granian", "jinja2", "structlog", "uvloop", "psutil", "rich")
        if (error.name or "").partition(".")[0] in server_only:
            return _not_installed(sys.argv[1] if len(sys.argv) > 1 else "", error.name or "")
        raise
    except Exception as error:
        from perfect_schemas.errors import InvalidInput, PerfectError

        if not isinstance(error, PerfectError):
            raise
        print(f"perfect: {error.detail}", file=sys.stderr)
        for wrong in error.errors:
            if wrong.message not in error.detail:
                print(f"  {wrong.field}: {wrong.message}", file=sys.stderr)
        return USAGE if isinstance(error, InvalidInput) else FAILED
