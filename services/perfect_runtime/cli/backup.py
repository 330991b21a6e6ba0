"""`perfect backup`: a backup of the running system, while it goes on."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfect_bus.settings import Settings
from perfect_runtime.cli.system import NONE, add_options, reached, settings_of
from perfect_runtime.sealing import KEY_FILE

if TYPE_CHECKING:
    from perfect_runtime.manifest import Manifest


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "backup",
        help="save the running system to a folder or a file",
        description="Save the running system, all runs and their history, to a new folder, or to one file when the name "
        "ends with .tar. Nothing stops meanwhile. Run it on the projector's host. Archived months (PERFECT_ARCHIVE_DIR) "
        "are files of their own: copy that folder, too.",
    )
    parser.add_argument("target", type=Path, metavar="FOLDER|FILE.tar", help="must not exist yet")
    add_options(parser)
    parser.add_argument(
        "--with-secrets",
        action="store_true",
        help="put the key that opens the secrets into the backup, too: whoever has it can read them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 saved, 1 failed, 2 wrong usage, 4 no running system."""
    settings = settings_of(arguments)
    key = settings.data_dir / KEY_FILE if arguments.with_secrets else None
    made = asyncio.run(_backup(settings, arguments.target, key))
    if made is None:
        print(
            "perfect backup: no running Perfect system found: start it with `perfect up`, or name its folder with "
            "--data-dir",
            file=sys.stderr,
        )
        return NONE
    if key is not None:
        print(
            f"warning: {arguments.target} holds the key of the secrets: whoever can read it can read them all. Keep it as "
            "you keep the secrets themselves",
            file=sys.stderr,
        )
    if arguments.json:
        shown = {
            "target": str(arguments.target.absolute()),
            "made_at": made.made_at.isoformat(),
            "version": made.version,
            "offsets": made.offsets,
            "streams": {one.name: one.state.get("messages", 0) for one in made.streams},
        }
        print(json.dumps(shown, indent=2))
    else:
        print(f"saved to {arguments.target.absolute()}")
    return 0


async def _backup(settings: Settings, target: Path, key: Path | None) -> "Manifest | None":
    """None with no system running."""
    from perfect_runtime.backup import backup

    async with reached(settings, "perfect backup", "nothing is saved") as bus:
        if bus is None:
            return None
        return await backup(bus, target, key=key, say=lambda text: print(text, file=sys.stderr, flush=True))
