"""Copies of the DuckDB file for backups: whole and consistent, made while the writer goes on.

A copy is not bound to the streams that it was filled from (restored streams are new ones to the server, with the old
sequences); whoever puts it back checks that its offsets fit them. Archived months are files of their own, which are not
in it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from perfect_bus import Bus
from perfect_projector import database
from perfect_projector.duck import Duck
from perfect_projector.sandbox.schema import join_months
from perfect_projector.sql import statement
from perfect_runtime.answers import Answers
from perfect_schemas.commands import CopyReadModel, ReadModelCopy, Reply
from perfect_schemas.errors import Failed, InvalidInput
from perfect_schemas.ids import is_id

FOLDER = "copies"
MODE = 0o600
MEMORY_LIMIT = "256MB"

_decode = msgspec.json.Decoder(CopyReadModel).decode


class Copier:
    """Made in the writer's thread, for its cursor; a thread of its own copies. One copy at a time."""

    def __init__(self, bus: Bus, duck: Duck) -> None:
        self._cursor = duck.loader()
        self._folder = duck.file.parent / FOLDER
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="duck-copy")
        self._copies: dict[str, asyncio.Future[ReadModelCopy]] = {}
        self._answers = Answers(bus)

    async def start(self) -> None:
        """Remove what nobody took away."""
        await asyncio.to_thread(self._tidy)
        await self._answers.commands("projector", {"copy": self.copy})

    async def stop(self) -> None:
        await self._answers.stop()
        self._cursor.interrupt()
        await asyncio.gather(*self._copies.values(), return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)
        self._cursor.close()

    async def copy(self, data: bytes) -> Reply:
        """Raises InvalidInput, Failed."""
        copy_id = _decode(data).copy_id
        if not is_id(copy_id):
            raise InvalidInput(f"{copy_id!r} is no id for a copy")
        making = self._copies.get(copy_id)
        if making is None:
            making = asyncio.get_running_loop().run_in_executor(self._pool, self._copy, copy_id)
            self._copies[copy_id] = making
            making.add_done_callback(self._forgetting(copy_id))
        return Reply.of(await asyncio.shield(making))

    def _forgetting(self, copy_id: str) -> Callable[[Any], None]:
        """The answer to a finished copy may be lost: it stands for a minute."""

        def forget(_: Any) -> None:
            asyncio.get_running_loop().call_later(60.0, self._copies.pop, copy_id, None)

        return forget

    # -- in the thread that copies

    def _copy(self, copy_id: str) -> ReadModelCopy:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        file = self._folder / f"{copy_id}.duckdb"
        try:
            with database.whole(file, MODE) as partial:
                database.copy(self._cursor, partial, "copy")
                schema_version, offsets = _detach(partial)
        except duckdb.Error as error:
            raise Failed(f"the read model could not be copied: {error}") from error
        return ReadModelCopy(
            file=str(file.resolve()),
            bytes=file.stat().st_size,
            schema_version=schema_version,
            offsets=offsets,
        )

    def _tidy(self) -> None:
        if self._folder.is_dir():
            for file in self._folder.iterdir():
                file.unlink(missing_ok=True)


def _detach(file: Path) -> tuple[int, dict[str, int]]:
    """Take out what ties the copy to this place. Returns its schema version, and stream → offset."""
    with database.connect(file, threads=1, memory_limit=MEMORY_LIMIT) as connection:
        join_months(connection)
        connection.execute(statement("forget_created"))
        connection.execute("CHECKPOINT")
        (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone() or (0,)
        return version, dict(connection.execute(statement("offsets")).fetchall())
