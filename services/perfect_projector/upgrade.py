"""A file of an older version: its read models are made anew from its log, as by `perfect rebuild`, before it is used.

The version is raised in the transaction that puts the new tables in place. Whoever is killed before begins again, with
the file as it was.
"""

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from perfect_projector import condition, opening, versions
from perfect_projector.database import connect
from perfect_projector.duck import Duck
from perfect_projector.rebuild import MEMORY_LIMIT, check_whole, fold_anew, replace
from perfect_projector.sql import statement
from perfect_runtime.space import shown, space
from perfect_schemas.errors import Failed, Rejected

FOLDER = "upgrade"
SCRATCH = "perfect.duckdb"
SHARE_EVENTS = 25_000  # so often it is said how far it is, and so soon it can be ended
FOLDED_PERCENT = 90  # the rest is to put the tables in place

Tell = Callable[[int], None]


class Ended(Exception):
    """The process is to end: what is done so far is of no use."""


class Upgrade:
    """Of an open file. is_at(percent): called as it goes on. how: see `refill`."""

    def __init__(self, duck: Duck, log: Any, is_at: Tell, **how: Any) -> None:
        self._duck = duck
        self._log = log
        self._is_at = is_at
        self._how = {"share_events": SHARE_EVENTS, **how}
        self._percent = -1
        self._is_ended = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._working: asyncio.Future[Duck] | None = None

    async def run(self) -> Duck:
        """The file as this version has it, opened anew if it was an older one's. Raises Failed when there is no room."""
        self._working = self._loop.run_in_executor(None, self._work)
        return await asyncio.shield(self._working)

    async def stop(self) -> None:
        """As soon as what is being folded is."""
        self._is_ended.set()
        if self._working is not None:
            with contextlib.suppress(Exception):
                (await self._working).close()

    # -- in a thread

    def _work(self) -> Duck:
        """Raises Ended when it was stopped, duckdb.Error for what cannot be read."""
        duck = self._duck
        try:
            folder = duck.file.with_name(FOLDER)
            shutil.rmtree(folder, ignore_errors=True)  # of one that was killed: who has the file has it alone
            if duck.outdated is None or self._keeps_its_rows():
                return duck
            check_room(duck.file)
        except BaseException:
            duck.close()
            raise
        self._log.warning(condition.outdated(duck))
        begin = time.monotonic()
        folder.mkdir(mode=0o700)
        try:
            duck.close()
            self._fold(duck.file, folder / SCRATCH)
            upgraded = self._with(folder / SCRATCH)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._log.info(
            "the read model has been brought up to date", took_s=round(time.monotonic() - begin, 1)
        )
        return upgraded

    def _with(self, scratch: Path) -> Duck:
        duck = Duck(self._duck.file, self._duck.archive)
        try:
            self._go_on()
            if duck.file_aside is None:  # else it is a new one, of this version
                replace(duck, scratch)
                duck.checkpoint()
        except BaseException:
            duck.close()
            raise
        self._say(100)
        return duck

    def _keeps_its_rows(self) -> bool:
        """A part of its log has left it: columns are added, with their defaults, and no row is made anew."""
        duck = self._duck
        try:
            check_whole(duck.connection)
        except Rejected as error:
            with duck.transaction():
                versions.record(duck.connection)
            self._log.warning(condition.kept(duck, error.detail))
            duck.outdated = None
            return True
        return False

    def _fold(self, file: Path, scratch: Path) -> None:
        try:
            with connect(file, read_only=True, threads=2, memory_limit=MEMORY_LIMIT) as log:
                total = sum(count for _, count, _ in log.execute(statement("rebuild.ends")).fetchall())
                fold_anew(log, file, scratch, tell=self._telling(total), **self._how)
        except duckdb.Error as error:
            if opening.is_damage(error):
                opening.suspect(file, error)
            raise

    def _telling(self, total: int) -> Tell:
        def tell(count: int) -> None:
            self._go_on()
            self._say(FOLDED_PERCENT * count // max(total, 1))

        self._say(0)
        return tell

    def _go_on(self) -> None:
        if self._is_ended.is_set():
            raise Ended

    def _say(self, percent: int) -> None:
        if percent <= self._percent:
            return
        if percent // 10 > self._percent // 10:
            self._log.info(condition.upgraded_by(percent))
        self._percent = percent
        self._loop.call_soon_threadsafe(self._is_at, percent)


def check_room(file: Path) -> None:
    """Raises Failed. What is made anew takes less than the file, which has the log, too."""
    wanted, free = file.stat().st_size, space(file.parent).free
    if free < wanted:
        raise Failed(
            f"{file} was made by an older version of Perfect, and there is no room to bring it up to date: it takes up to "
            f"{shown(wanted)} for a while, its disk has {shown(free)} free. Free some space, and start the projector again"
        )
