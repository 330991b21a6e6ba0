"""A backup of a system that goes on: the read model first, then the streams, which reach beyond it.

What the streams lose between the two (ended runs leave the bus) would be in neither: then all is copied anew. The
backup appears under its name only when it is whole.
"""

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from nats.js.errors import NotFoundError

from perfect_bus import Bus
from perfect_bus.copying import Copied, copy_stream
from perfect_bus.purging import missing
from perfect_runtime import manifest
from perfect_runtime.kept_secrets import unreadable
from perfect_runtime.manifest import NAMES, READ_MODEL, STREAMS, Manifest
from perfect_runtime.sealing import KEY_FILE, Seal, seal_with
from perfect_runtime.space import shown
from perfect_schemas import ids, subjects
from perfect_schemas.commands import CopyReadModel, ReadModelCopy
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Failed, InvalidInput

TRIES = 3
COPY_S = 3600.0
TAR = ".tar"


class Moved(Exception):
    """Messages left a stream between the copy of the read model and the stream's own."""


async def backup(
    bus: Bus, target: Path, *, key: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Write a backup to the folder `target`, or to one file when the name ends with `.tar`; it must not exist.

    key: the file with the key of the secrets, to be in the backup, too; None: the backup opens none of them.
    To be run on the projector's host. Raises InvalidInput, Failed, BusUnavailable, ServiceUnavailable.
    """
    partial = target.with_name(f".{target.name}.{ids.uuid7()}.part")
    try:
        _check_new(target)
        seal = None if key is None else _seal(key)
        _empty(partial)
        made = await _copy_all(bus, partial, say)
        if key is not None:
            shutil.copyfile(key, partial / KEY_FILE)
        if closed := await unreadable(bus, seal):
            say(_about_secrets(closed, key))
        await asyncio.to_thread(_finish, made, partial, target)
    except OSError as error:
        raise Failed(f"the backup {target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return made


async def _copy_all(bus: Bus, folder: Path, say: Callable[[str], None]) -> Manifest:
    why = ""
    for _ in range(TRIES):
        try:
            return await _copy_once(bus, folder, say)
        except Moved as moved:
            why = str(moved)
            say(f"{why}: everything is copied again")
            _empty(folder)
    raise Failed(f"no backup could be made, {TRIES} times over: {why}. Try again when less is going on")


async def _copy_once(bus: Bus, folder: Path, say: Callable[[str], None]) -> Manifest:
    read_model = await _copy_read_model(bus, folder / READ_MODEL)
    say(f"read model: {shown(read_model.bytes)}")
    (folder / STREAMS).mkdir(mode=0o700)  # one call, and nobody else is on this loop
    copies: list[Copied] = []
    for name in NAMES:
        with contextlib.suppress(NotFoundError):  # some are made when they are first used
            await bus.js.stream_info(name)
            copied = await _copy_stream(bus, name, folder / STREAMS / name)
            copies.append(copied)
            say(f"stream {name}: {copied.state.get('messages', 0):,} messages")
    server = bus.nc.connected_server_version
    made = Manifest(
        format=manifest.FORMAT,
        version=importlib.metadata.version("perfect-flow"),
        nats_version=f"{server.major}.{server.minor}.{server.patch}",
        schema_version=read_model.schema_version,
        made_at=utc_now(),
        offsets=read_model.offsets,
        streams=copies,
    )
    if gaps := made.gaps():
        raise Moved("; ".join(gaps))
    for copied in copies:
        if copied.name in read_model.offsets:
            await _check_whole(bus, copied, read_model.offsets[copied.name])
    return made


async def _check_whole(bus: Bus, copied: Copied, offset: int) -> None:
    gone = await missing(bus, copied.name, after=offset, through=copied.last_seq)
    if gone:
        raise Moved(f"{gone} messages left the stream {copied.name} while it was copied")


async def _copy_read_model(bus: Bus, file: Path) -> ReadModelCopy:
    command = CopyReadModel(copy_id=ids.uuid7())
    reply = await bus.ask(subjects.command("projector", "copy"), command, timeout_s=COPY_S, try_s=5.0)
    copy = msgspec.json.decode(reply.value, type=ReadModelCopy)
    try:
        await asyncio.to_thread(shutil.move, copy.file, file)
    except FileNotFoundError as error:
        raise Failed(
            f"the projector has written {copy.file}, which is not there: run the backup on the projector's host"
        ) from error
    return copy


async def _copy_stream(bus: Bus, name: str, file: Path) -> Copied:
    with file.open("xb") as out:
        return await copy_stream(bus, name, out.write)


def _check_new(target: Path) -> None:
    if os.path.lexists(target):
        raise InvalidInput(f"{target} exists already: a backup never replaces another, choose a new name")


def _seal(key: Path) -> Seal:
    if not key.is_file():
        raise InvalidInput(
            f"there is no key of secrets at {key}: it is in the data folder of the registry's host (--data-dir), from the "
            "first secret on"
        )
    return seal_with(key)


def _about_secrets(closed: list[str], key: Path | None) -> str:
    names = ", ".join(closed)
    if key is None:
        return (
            f"the secrets in it are sealed ({names}): keep {KEY_FILE} of the data folder apart, nothing opens them without "
            "it (--with-secrets puts it into the backup)"
        )
    return f"warning: {key} does not open these secrets, which another key has sealed: {names}"


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True)


def _finish(made: Manifest, partial: Path, target: Path) -> None:
    made.write(partial)
    for path in partial.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    manifest.sync(partial)
    if target.suffix == TAR:
        _pack(partial, target)
    else:
        partial.rename(target)


def _pack(folder: Path, target: Path) -> None:
    partial = folder.with_suffix(".tar")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as tar:
                for path in sorted(folder.rglob("*")):
                    tar.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False)
            out.flush()
            os.fsync(out.fileno())
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)
