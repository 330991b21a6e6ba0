"""`perfect help [TOPIC|COMMAND…]`."""

import argparse
from typing import Any

from perfect_sdk.cli.exits import MEANINGS, OK, USAGE, Exit
from perfect_sdk.cli.suggestion import did_you_mean

RUN_IDS = """\
Wherever a command asks for a RUN, it takes
  a whole id             01a20693-3895-7681-b4a6-eeaa553a301c
  its beginning or end   6 characters or more, when only one run has them: aa553a301c
  @last                  the newest run

Ids begin with the time: runs of the same minute have the same beginning, so the end is the better choice. A narrow
terminal shows only the end."""
OUTPUT = """\
  --json    what the API answers, as one JSON document; what goes on and on (events, log lines) as a line of JSON each
  --quiet   only what a script needs: ids, names, values; no confirmations, no progress
In a terminal tables are made to fit it, coloured, and cut where they must be; in a pipe or a file nothing is cut and
nothing coloured. Times are in the local zone, in JSON in UTC. What goes wrong is said on the standard error, and the
exit code tells it (`perfect help exit-codes`)."""


def topics() -> dict[str, str]:
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())
    return {"exit-codes": f"How a command ends:\n{codes}", "run-ids": RUN_IDS, "output": OUTPUT}


def register(subparsers: Any) -> None:
    names = ", ".join(topics())
    parser = subparsers.add_parser("help", help=f"about a command, or: {names}")
    parser.add_argument("topic", nargs="*", metavar="TOPIC|COMMAND", help=names)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from perfect_sdk.cli.main import build, main, names

    wanted = arguments.topic
    if not wanted:
        build().print_help()
        return OK
    if len(wanted) == 1 and wanted[0] in topics():
        print(topics()[wanted[0]])
        return OK
    if wanted[0] not in names():
        known = [*topics(), *names()]
        raise Exit(USAGE, f"there is no help about {wanted[0]!r}{did_you_mean(wanted[0], known)}")
    return main([*wanted, "--help"])
