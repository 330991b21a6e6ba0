"""`perfect version`."""

import argparse
from typing import Any

from perfect_sdk.cli.exits import OK


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("version", help="print the version")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    import platform

    from perfect_sdk.release import version

    print(f"perfect-flow {version()} (Python {platform.python_version()})")
    return OK
