"""Snapshots: whole files that anyone may read while the live one is written.

One is made on demand, when something was committed since the last one and that is older than a few seconds. A file
appears under its name only when it is complete, and goes when there is a newer one and no query reads it. The newest
stays for analysts, who open it with any DuckDB client (read-only: its mode allows nothing else).
"""

import asyncio
import contextlib
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import duckdb

from perfect_projector import database
from perfect_projector.sandbox.schema import Contents, complete
from perfect_projector.sandbox.walls import NICE
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Failed, ServiceUnavailable

FOLDER = "snapshots"
FRESH_S = 2.0
SHARE = 4  # making snapshots takes at most a fifth of the time, however large the file is
MIN_FREE_BYTES = 128 * 1024 * 1024
MODE = 0o400

Position = dict[str, int]


class Snapshot:
    """taken_at: what was committed before is in it. position: of each stream. tables: what there is to query.
    archived: the files that its views read. months: how often months had left the file. users: queries that read
    it now.
    """

    def __init__(
        self, file: Path, taken_at: datetime, position: Position, contents: Contents, months: int
    ) -> None:
        self.file = file
        self.taken_at = taken_at
        self.position = position
        self.tables = contents.tables
        self.archived = contents.archived
        self.months = months
        self.users = 0
        self.made = time.monotonic()

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.made


class Snapshots:
    """`cursor`: one of the live file, used by the thread that copies. `position`: what is committed now. `archive`: the
    folder of the months that have left the file. `no_room()`: why nothing may be written now, "" when it may.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        file: Path,
        position: Callable[[], Position],
        *,
        archive: Path | None = None,
        no_room: Callable[[], str] = lambda: "",
    ) -> None:
        self._cursor = cursor
        self._live = file
        self._archive = archive
        self._no_room = no_room
        self._position = position
        self.folder = file.parent / FOLDER
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="duck-snapshot", initializer=_yield_to_others)
        self._current: Snapshot | None = None
        self._old: list[Snapshot] = []
        self._making: asyncio.Task[Snapshot] | None = None
        self._took_s = 0.0
        self._months = 0  # how often months have left the file
        self.made = 0

    async def start(self) -> None:
        """Remove what an earlier process left, except the newest complete file."""
        await asyncio.to_thread(self._tidy)

    async def stop(self) -> None:
        if self._making is not None:
            self._cursor.interrupt()
            await asyncio.gather(self._making, return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)
        self._cursor.close()

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Snapshot]:
        """A snapshot that stays as long as it is used. Raises ServiceUnavailable when there is no room for one."""
        snapshot = await self.latest()
        snapshot.users += 1
        try:
            yield snapshot
        finally:
            snapshot.users -= 1
            self._forget_old()

    async def latest(self) -> Snapshot:
        current = self._current
        if current is not None and self._is_fresh(current):
            return current
        if why := self._no_room():
            raise ServiceUnavailable(f"no snapshot can be made for SQL: {why}")
        if self._making is None:
            self._making = asyncio.create_task(self._make())
            self._making.add_done_callback(self._made)
        return await asyncio.shield(self._making)

    def _is_fresh(self, snapshot: Snapshot) -> bool:
        if snapshot.months != self._months or not snapshot.file.exists():
            return False
        return snapshot.position == self._position() or snapshot.age_s < max(FRESH_S, SHARE * self._took_s)

    def outdate(self) -> None:
        """Something has left the file since, though nothing was committed."""
        self._months += 1

    def _made(self, task: "asyncio.Task[Snapshot]") -> None:
        self._making = None
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _make(self) -> Snapshot:
        loop = asyncio.get_running_loop()
        begin = time.monotonic()
        position = dict(self._position())
        snapshot = await loop.run_in_executor(self._pool, self._copy, position, self._months)
        self._took_s = time.monotonic() - begin
        self.made += 1
        if self._current is not None:
            self._old.append(self._current)
        self._current = snapshot
        self._forget_old()
        return snapshot

    def _forget_old(self) -> None:
        for snapshot in [one for one in self._old if not one.users]:
            self._old.remove(snapshot)
            snapshot.file.unlink(missing_ok=True)

    # -- in the thread that copies

    def _copy(self, position: Position, months: int) -> Snapshot:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._check_room()
        taken_at = utc_now()
        file = self.folder / f"perfect-{taken_at:%Y%m%dT%H%M%S%f}.duckdb"
        try:
            with database.whole(file, MODE) as partial:
                database.copy(self._cursor, partial, "snapshot")
                contents = complete(partial, self._archive)
        except duckdb.Error as error:
            raise Failed(f"no snapshot could be made for SQL: {error}") from error
        return Snapshot(file, taken_at, position, contents, months)

    def _check_room(self) -> None:
        parts = (self._live, database.log_file(self._live))
        size = sum(part.stat().st_size for part in parts if part.exists())
        free = shutil.disk_usage(self.folder).free
        if free < size + MIN_FREE_BYTES:
            raise ServiceUnavailable(
                f"there is no room for a snapshot of {size / 2**20:.0f} MB: {free / 2**20:.0f} MB are free on the disk "
                f"of {self.folder}; make room, then ask again"
            )

    def _tidy(self) -> None:
        if not self.folder.is_dir():
            return
        complete_ones = sorted(self.folder.glob("perfect-*.duckdb"))
        for file in [*self.folder.glob("*.partial*"), *complete_ones[:-1]]:
            file.unlink(missing_ok=True)


def _yield_to_others() -> None:
    """Of this thread alone, where the system can tell threads apart."""
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
