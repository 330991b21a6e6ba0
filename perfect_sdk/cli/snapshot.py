"""`perfect snapshot`: a snapshot of the read model as a file, for DuckDB clients."""

import argparse
import json
import sys
from typing import Any

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json, show_time
from perfect_sdk.cli.parameters import add_system


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "snapshot",
        help="make a snapshot of the read model and say where it is",
        description="Make a snapshot of the read model and print its file, on the server's host. Open it with any "
        "DuckDB client, read-only: duckdb -readonly FILE. It stays until there is a newer one: copy what you keep.",
    )
    add_system(parser)
    parser.set_defaults(run=snapshot)


def snapshot(arguments: argparse.Namespace) -> int:
    made = json.loads(Gateway.of(arguments).download("/api/sql/snapshot", {})[0])
    if arguments.json:
        print_json({name: made[name] for name in ("file", "bytes", "taken_at")})
        return OK
    print(made["file"])
    if not arguments.quiet:
        print(f"{made['bytes'] / 2**20:.1f} MB, as of {show_time(made['taken_at'])}", file=sys.stderr)
    return OK
