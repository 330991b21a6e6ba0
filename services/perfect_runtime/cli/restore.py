"""`perfect restore`: a system from a backup, in a new folder."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from perfect_runtime.cli.system import settings_of


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "restore",
        help="make a system again from a backup, in a new folder",
        description="Check a backup and restore it into a new data folder. `perfect up --data-dir` there goes on where the "
        "backup was made: runs that were live continue once a worker serves them.",
    )
    parser.add_argument("backup", type=Path, metavar="FOLDER|FILE.tar", help="what `perfect backup` made")
    parser.add_argument("--data-dir", type=Path, required=True, help="the new folder")
    parser.add_argument(
        "--nats-url", help="restore the streams to this NATS server instead of an embedded one"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 restored, 1 failed, 2 wrong usage or a backup that cannot be used."""
    from perfect_runtime.restore import restore

    settings = settings_of(arguments)
    made = asyncio.run(
        restore(arguments.backup, settings, say=lambda text: print(text, file=sys.stderr, flush=True))
    )
    if arguments.json:
        shown = {
            "data_dir": str(settings.data_dir.absolute()),
            "made_at": made.made_at.isoformat(),
            "version": made.version,
        }
        print(json.dumps(shown, indent=2))
        return 0
    print(
        f"restored to {settings.data_dir.absolute()}, as of {made.made_at:%Y-%m-%d %H:%M:%S} UTC\n"
        f"  start it with  perfect up --data-dir {arguments.data_dir}"
    )
    return 0
