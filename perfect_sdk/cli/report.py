"""`perfect report RUN -o FILE`: everything about a run in one HTML file."""

import argparse
import sys
from pathlib import Path
from typing import Any

from perfect_sdk.cli import run_reference
from perfect_sdk.cli.exits import FAILED, OK, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done
from perfect_sdk.cli.parameters import add_run, add_system


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("report", help="everything about a run in one HTML file")
    add_run(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where to write it; - is the standard output (default report-RUN.html)",
    )
    add_system(parser)
    parser.set_defaults(run=report)


def report(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    run_id = run_reference.find(gateway, arguments.run_id)
    data = gateway.data(f"/api/engine/runs/{run_id}/report")
    if arguments.output == "-":
        sys.stdout.buffer.write(data)
        return OK
    file = Path(arguments.output or f"report-{run_id}.html")
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Exit(FAILED, f"the report could not be written to {file}: {error.strerror}") from None
    wrote = {"run_id": run_id, "file": str(file), "bytes": len(data)}
    return print_done(arguments, wrote, f"wrote {file} ({max(len(data) // 1024, 1)} KiB)")
