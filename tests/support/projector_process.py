"""The projector in a process of its own, for tests that kill it or take the ground from under it."""

import asyncio
import os
import sys

from perfect_bus.settings import Settings


class Projector:
    """The service in a process of its own, as it is started in earnest."""

    def __init__(self, settings: Settings) -> None:
        self.environment = {**os.environ, **settings.environment(), "PERFECT_LOG_FORMAT": "json"}
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "perfect_runtime", "service", "projector"),
            env=self.environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, sig: int) -> tuple[int, str]:
        """The exit code and what it wrote."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(sig)
        _, written = await self.process.communicate()
        return self.process.returncode or 0, written.decode()
