"""`perfect run FILE:FLOW -p k=v`: call a flow here and now, recorded when a system is running."""

import argparse
import inspect
import json
import sys
import traceback
from typing import Any

from perfect_sdk.cli.exits import FAILED, OK, USAGE, Exit
from perfect_sdk.cli.parameters import add_parameters, parse_parameters


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "run",
        help="run a flow in this process",
        description="Run a flow in this process; recorded like any run when a Perfect system is running.",
    )
    parser.add_argument(
        "target", metavar="FILE:FLOW", help="flows.py:etl, package.flows:etl; flows.py if it has one"
    )
    add_parameters(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from perfect_schemas.errors import PerfectError
    from perfect_sdk.serving.loading import load_flows

    flows = load_flows(arguments.target)
    if len(flows) > 1:
        names = ", ".join(flow.name for flow in flows)
        raise Exit(USAGE, f"{arguments.target} has several flows: name one after a colon ({names})")
    flow = flows[0]
    parameters = parse_parameters(arguments.parameters)
    try:
        flow.validate_parameters(parameters)
    except (TypeError, ValueError, PerfectError) as error:
        raise Exit(USAGE, f"flow {flow.name!r}: {error}") from None
    try:
        value = flow(**parameters)
        if inspect.isawaitable(value):
            import asyncio

            value = asyncio.run(_result(value))
    except Exception:
        traceback.print_exc()
        return FAILED
    if arguments.json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")
    elif value is not None:
        print(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    return OK


async def _result(value: Any) -> Any:
    return await value
