"""`perfect backup`: a backup of the running system, while it goes on."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfect_bus.settings import Settings, find_connection
from perfect_runtime.sealing import KEY_FILE
from perfect_schemas.errors import InvalidInput, ServiceUnavailable

if TYPE_CHECKING:
    from perfect_bus.bus import Connection
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
    parser.add_argument("--data-dir", type=Path, help="data folder of the local system (default .perfect)")
    parser.add_argument("--nats-url", help="of the system's NATS server (default: the running system)")
    parser.add_argument(
        "--with-secrets",
        action="store_true",
        help="put the key that opens the secrets into the backup, too: whoever has it can read them",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 saved, 1 failed, 2 wrong usage, 4 no running system."""
    overrides = {name: getattr(arguments, name) for name in ("data_dir", "nats_url")}
    try:
        settings = Settings.load(overrides=overrides)
        connection = find_connection(settings)
    except InvalidInput as error:
        print(f"perfect backup: {error.detail}", file=sys.stderr)
        return 2
    if connection is None:
        print(
            "perfect backup: no running Perfect system found: start it with `perfect up`, or name its folder with "
            "--data-dir",
            file=sys.stderr,
        )
        return 4
    key = settings.data_dir / KEY_FILE if arguments.with_secrets else None
    made = asyncio.run(_backup(connection, arguments.target, key))
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


async def _backup(connection: "Connection", target: Path, key: Path | None) -> "Manifest":
    from perfect_bus import Bus
    from perfect_runtime.backup import backup

    try:
        bus = await Bus.connect(connection, name="perfect backup", timeout_s=3.0)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(f"{error.detail}. Is the system running (`perfect up`)?") from error
    try:
        return await backup(bus, target, key=key, say=lambda text: print(text, file=sys.stderr, flush=True))
    finally:
        await bus.close(0)
