"""The system that a command is about: the options that name it, and the way to it."""

import argparse
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from perfect_bus.settings import Settings, find_connection
from perfect_schemas.errors import BusUnavailable

if TYPE_CHECKING:
    from perfect_bus import Bus

NONE = 4
"""The exit code where there is none to look at."""
CONNECT_S = 3.0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, help="data folder of the local system (default .perfect)")
    parser.add_argument("--nats-url", help="of the system's NATS server (default: the running system)")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Raises InvalidInput."""
    return Settings.load(overrides={name: getattr(arguments, name) for name in ("data_dir", "nats_url")})


@asynccontextmanager
async def reached(settings: Settings, name: str, otherwise: str) -> "AsyncIterator[Bus | None]":
    """A connection to the running system, None where none runs. otherwise: what is done then, to be told when a system was
    here. Raises InvalidInput, and BusUnavailable for a server that was named and does not answer.
    """
    from perfect_bus import Bus

    connection, bus = find_connection(settings), None
    if connection is not None:
        try:
            bus = await Bus.connect(connection, name=name, timeout_s=CONNECT_S)
        except BusUnavailable as error:
            if settings.nats_url:
                raise
            print(f"no system is running ({error.detail}): {otherwise}", file=sys.stderr)
    try:
        yield bus
    finally:
        if bus is not None:
            await bus.close(0)
