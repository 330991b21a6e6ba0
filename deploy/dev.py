"""`just dev`: the system as `perfect up` starts it, with each service ended when its own files change.

`up` starts it again, and it folds what it missed: every reload is a test of replay. NATS and the data stay up.
Looks at the files' times twice a second, which only a developer's machine has to bear.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import msgspec

from perfect_bus import Bus
from perfect_bus.settings import Settings, find_connection
from perfect_schemas import subjects
from perfect_schemas.commands import Health
from perfect_schemas.errors import PerfectError

ROOT = Path(__file__).parent.parent
SERVICES = ("registry", "engine", "projector", "gateway")
EVERY_S = 0.5
PARTS: dict[str, tuple[str, ...]] = {
    "services/perfect_registry": ("registry",),
    "services/perfect_engine": ("engine",),
    "services/perfect_projector": ("projector",),
    "services/perfect_gateway": ("gateway",),
    "ui/perfect_ui": ("gateway",),
    "services/perfect_runtime": SERVICES,
    "schemas": SERVICES,
}


def look() -> dict[Path, float]:
    files = (
        file
        for part in PARTS
        for file in (ROOT / part).rglob("*")
        if file.suffix in (".py", ".sql", ".html", ".css", ".js")
    )
    found = {}
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            found[file] = file.stat().st_mtime
    return found


def concerned(changed: set[Path]) -> set[str]:
    return {
        name
        for file in changed
        for part, names in PARTS.items()
        if file.is_relative_to(ROOT / part)
        for name in names
    }


async def restart(names: set[str]) -> None:
    """End the processes that these services live in; services that share one go with it."""
    connection = find_connection(Settings.load())
    if connection is None:
        return
    bus = await Bus.connect(connection, name="just dev")
    try:
        pids = set()
        for name in names:
            with contextlib.suppress(PerfectError):
                reply = await bus.ask(subjects.health(name), None, timeout_s=1)
                pids.add(msgspec.json.decode(reply.value, type=Health).pid)
        for pid in pids - {None}:
            os.kill(pid, signal.SIGTERM)
    finally:
        await bus.close(0.5)


async def main() -> int:
    up = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "perfect_runtime", "up", "--logs", *sys.argv[1:]
    )
    ended = asyncio.create_task(up.wait())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, up.terminate)
    before = look()
    while not ended.done():
        await asyncio.wait({ended}, timeout=EVERY_S)
        now = look()
        changed = {file for file in now | before if now.get(file) != before.get(file)}
        before = now
        if changed and not ended.done():
            names = concerned(changed)
            print(
                f"{', '.join(sorted(file.name for file in changed))} changed: {', '.join(sorted(names))} again"
            )
            try:
                await restart(names)
            except (PerfectError, ProcessLookupError) as error:
                print(f"not restarted: {error}", file=sys.stderr)
    return ended.result()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
