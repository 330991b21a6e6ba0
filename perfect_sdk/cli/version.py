"""`perfect version`."""

import argparse
from typing import Any

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.output import print_json


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("version", help="print the version")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the version")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import platform

    from perfect_sdk.release import version

    if arguments.json:
        print_json({"version": version(), "python": platform.python_version()})
        return OK
    if arguments.quiet:
        print(version())
        return OK
    print(f"perfect-flow {version()} (Python {platform.python_version()})")
    return OK
