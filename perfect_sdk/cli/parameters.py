"""Options that several commands share, and what they mean."""

import argparse
import json
from pathlib import Path
from typing import Any

from perfect_sdk.cli.exits import USAGE, Exit

RUN_HELP = "id, six or more characters of its beginning or end, or @last for the newest"


def add_parameters(parser: argparse.ArgumentParser, help: str = "a parameter of the flow") -> None:  # noqa: A002
    parser.add_argument(
        "-p",
        "--param",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"{help}; VALUE is read as JSON where it is JSON, as text otherwise",
    )


def parse_parameters(given: list[str]) -> dict[str, Any]:
    """`day=2024-01-01`, `n=3`, `names=["a"]` → values. Raises Exit for what has no `=`."""
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise Exit(USAGE, f"-p {text}: a parameter is written NAME=VALUE")
        try:
            values[name.strip()] = json.loads(value)
        except ValueError:
            values[name.strip()] = value
    return values


def add_system(parser: argparse.ArgumentParser, *, as_json: bool = True) -> None:
    parser.add_argument("--url", help="the system's web address (default: the running system)")
    parser.add_argument("--data-dir", type=Path, help="data folder of the local system (default .perfect)")
    if as_json:
        parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print only what a script needs: ids, values"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_id", metavar="RUN", help=RUN_HELP)


def add_watch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-w", "--watch", action="store_true", help="follow the run; the exit code tells how it ended"
    )
