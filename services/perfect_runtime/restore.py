"""A system from a backup, in a new folder: `perfect up` there goes on where the backup was made.

Everything is checked before anything is written: the checksums, the versions, that nothing is missing between the read
model and the streams. The folder appears under its name only when it is whole.
"""

import asyncio
import contextlib
import importlib.metadata
import re
import shutil
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.copying import Copied, return_stream
from perfect_bus.purging import missing
from perfect_bus.settings import Settings
from perfect_runtime.kept_secrets import unreadable
from perfect_runtime.manifest import READ_MODEL, STREAMS, Manifest, sync
from perfect_runtime.natsd import NatsServer
from perfect_runtime.sealing import KEY_FILE, Seal, seal_with
from perfect_schemas import ids
from perfect_schemas.errors import Failed, InvalidInput

CHUNK_BYTES = 128 * 1024
LEFT_BEHIND = ("lock", "nats.conf", "nats.json", "logs")  # of the server that took the streams back


async def restore(
    source: Path, settings: Settings, *, say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Restore the backup `source`, a folder or a `.tar` file, into `settings.data_dir`, which must not exist or be empty.

    With `settings.nats_url` the streams go to that server, which must not have any of them yet; otherwise to an embedded
    one, which is ended again. Raises InvalidInput, CannotStart, Failed, BusUnavailable.
    """
    target = _new_folder(settings.data_dir)
    partial = target.with_name(f".{target.name}.{ids.uuid7()}.restoring")
    try:
        partial.mkdir(mode=0o700, parents=True)
        with _unpacked(source, partial) as folder:
            backup = await asyncio.to_thread(Manifest.read, folder)
            _check(backup, folder)
            say(f"the backup of {backup.made_at:%Y-%m-%d %H:%M:%S} UTC is whole")
            async with _bus(msgspec.structs.replace(settings, data_dir=partial)) as bus:
                await _restore_streams(bus, backup, folder, settings.replicas, say)
                await _restore_key(bus, folder / KEY_FILE, partial / KEY_FILE, target / KEY_FILE, say)
            await asyncio.to_thread(shutil.copyfile, folder / READ_MODEL, partial / READ_MODEL)
        _finish(partial, target)
    except OSError as error:
        raise Failed(f"the backup cannot be restored into {target}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return backup


def _new_folder(data_dir: Path) -> Path:
    target = data_dir.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InvalidInput(f"{target} is not empty: a backup is restored into a new folder (--data-dir)")
    return target


def _finish(partial: Path, target: Path) -> None:
    (partial / READ_MODEL).chmod(0o600)
    for name in LEFT_BEHIND:
        path = partial / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    sync(partial)
    partial.rename(target)


def _check(backup: Manifest, folder: Path) -> None:
    own = importlib.metadata.version("perfect-flow")
    if _numbers(backup.version) > _numbers(own):
        raise InvalidInput(
            f"{folder} was made by Perfect {backup.version}, this is {own}: update Perfect, then restore it"
        )
    if gaps := backup.gaps():
        raise InvalidInput(f"{folder} cannot be restored: {'; '.join(gaps)}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@contextlib.contextmanager
def _unpacked(source: Path, partial: Path) -> Iterator[Path]:
    if source.is_dir():
        yield source
        return
    folder = partial / "unpacked"
    try:
        with tarfile.open(source, mode="r:") as tar:
            tar.extractall(folder, filter="data")
    except FileNotFoundError as error:
        raise InvalidInput(f"there is no backup at {source}") from error
    except tarfile.TarError as error:
        raise InvalidInput(f"{source} is no backup, or a damaged one: {error}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[Bus]:
    server = None if settings.nats_url else NatsServer(settings)
    try:
        if server is not None:
            await server.start_async()
        connection = Connection.of_url(settings.nats_url or "") if server is None else server.connection
        bus = await Bus.connect(connection, name="perfect restore")
        try:
            yield bus
        finally:
            await bus.close(0)
    finally:
        if server is not None:
            server.stop()


async def _restore_streams(
    bus: Bus, backup: Manifest, folder: Path, replicas: int, say: Callable[[str], None]
) -> None:
    present = {info.config.name for info in await bus.js.streams_info()}
    if there := [copied.name for copied in backup.streams if copied.name in present]:
        raise InvalidInput(
            f"the NATS server has the streams {', '.join(there)} already: restore to one that has none of them"
        )
    for copied in backup.streams:
        wanted = msgspec.structs.replace(copied, config={**copied.config, "num_replicas": replicas})
        state = await return_stream(bus, wanted, _chunks(folder / STREAMS / copied.name))
        await _check_returned(bus, copied, state, backup.offsets.get(copied.name))
        say(f"stream {copied.name}: {state.get('messages', 0):,} messages")


async def _restore_key(
    bus: Bus, saved: Path, restored: Path, shown: Path, say: Callable[[str], None]
) -> None:
    """The key of the secrets, if the backup has it. Says which of them cannot be opened; that stops nothing."""
    if closed := await unreadable(bus, _copied_key(saved, restored)):
        say(
            f"warning: these secrets cannot be read: {', '.join(closed)}. Their key is not in the backup: copy {KEY_FILE} "
            f"of the saved system's data folder to {shown} (chmod 600) before the start, or save them again with "
            "`perfect secrets set NAME`"
        )


def _copied_key(saved: Path, restored: Path) -> Seal | None:
    if not saved.exists():
        return None
    shutil.copyfile(saved, restored)
    restored.chmod(0o600)
    return seal_with(restored)


async def _check_returned(bus: Bus, copied: Copied, state: dict[str, int], offset: int | None) -> None:
    """It ends where the backup says. There may be less in it than when the copy was begun: ended runs leave the bus, and
    entries expire, at any time, while a copy is made as well; after the read model's offset nothing may be missing.
    """
    found, wanted = state.get("last_seq", 0), copied.last_seq
    if found != wanted:
        raise Failed(f"the stream {copied.name} ends at {found} after the restore, the backup says {wanted}")
    found, most = state.get("messages", 0), copied.state.get("messages", 0)
    if found > most:
        raise Failed(
            f"the stream {copied.name} has {found} messages after the restore, the backup says {most} at most"
        )
    if offset is None:
        return
    gone = await missing(bus, copied.name, after=offset, through=copied.last_seq)
    if gone:
        raise InvalidInput(
            f"{gone} messages of the stream {copied.name} after {offset}, where the read model ends, are not in the backup"
        )


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as data:
        while chunk := data.read(CHUNK_BYTES):
            yield chunk
