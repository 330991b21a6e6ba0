"""What a backup holds: `manifest.json`, and `SHA256SUMS` beside it, which `sha256sum -c` checks, too.

manifest.json   versions, when it was made, how far the read model and each stream are
perfect.duckdb  the read model
streams/NAME    each stream, as the server's own snapshot
secrets.key     only when it was asked for: opens the secrets
SHA256SUMS      of all of these
"""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from perfect_bus.copying import Copied
from perfect_bus.settings import READ_MODEL
from perfect_schemas import streams, subjects
from perfect_schemas.errors import InvalidInput

FORMAT = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
STREAMS = "streams"

NAMES = (
    f"KV_{subjects.IDEMPOTENCY}",
    f"KV_{subjects.CACHE}",
    streams.WORK.name,
    streams.EVENTS.name,
    streams.DEFS.name,  # after EVENTS: the flow of each run is in it
    streams.TIMERS.name,
    streams.LOGS.name,
    f"KV_{subjects.SECRETS}",  # sealed: worth nothing without the key
    f"OBJ_{subjects.RESULTS}",  # after EVENTS: so is each result that an event names
)
"""In the order in which they are copied. Presence is not kept: a client is there or it is not."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """version: of Perfect. offsets: stream → the last sequence that the read model has read."""

    format: int
    version: str
    nats_version: str
    schema_version: int
    made_at: datetime
    offsets: dict[str, int]
    streams: list[Copied]

    def write(self, folder: Path) -> None:
        """With the checksums of everything that is in the folder."""
        (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
        sums = [f"{sha256(folder / name)}  {name}\n" for name in sorted(_files(folder))]
        (folder / SUMS).write_text("".join(sums))

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Check every file against its checksum. Raises InvalidInput for what is no backup, or a damaged or newer one."""
        try:
            data = (folder / MANIFEST).read_bytes()
            listed = (folder / SUMS).read_text()
        except OSError as error:
            raise InvalidInput(
                f"{folder} is no backup: {error.filename or MANIFEST} cannot be read ({error.strerror or error})"
            ) from error
        _check_format(folder, data)
        _check_sums(folder, listed)
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"{folder / MANIFEST} cannot be read: {error}") from error

    def gaps(self) -> list[str]:
        """What is missing between the read model and the streams, a sentence each."""
        ends = {one.name: one for one in self.streams}
        return [
            text
            for stream, offset in sorted(self.offsets.items())
            if (text := gap(stream, offset, ends.get(stream))) is not None
        ]


def gap(stream: str, offset: int, copied: Copied | None) -> str | None:
    if copied is None:
        return f"the stream {stream} is not in the backup"
    if offset > copied.last_seq:
        return (
            f"the read model has read up to {offset} of the stream {stream}, which ends at {copied.last_seq}: "
            "the stream is older than the read model"
        )
    if copied.first_seq > offset + 1:
        return (
            f"the read model has read up to {offset} of the stream {stream}, which begins at {copied.first_seq}: "
            f"the {copied.first_seq - offset - 1} messages between them are in neither"
        )
    return None


def sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def sync(folder: Path) -> None:
    """Have all that is in the folder on the disk."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _check_format(folder: Path, data: bytes) -> None:
    """First of all, and by nothing but the number: a later format may have other fields, and other sums."""
    try:
        said: Any = json.loads(data)
    except ValueError as error:
        raise InvalidInput(f"{folder / MANIFEST} is damaged: {error}") from error
    number = said.get("format") if isinstance(said, dict) else None
    if not isinstance(number, int):
        raise InvalidInput(f"{folder / MANIFEST} is not the manifest of a backup")
    if number > FORMAT:
        raise InvalidInput(
            f"{folder} was made by a newer Perfect ({said.get('version', '?')}, format {number}; this one knows "
            f"{FORMAT}): update Perfect, then restore it"
        )


def _check_sums(folder: Path, listed: str) -> None:
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in listed.splitlines())}
    there = set(_files(folder)) - {SUMS}
    if missing := sorted(sums.keys() - there):
        raise InvalidInput(f"the backup {folder} is damaged: {', '.join(missing)} is missing")
    if MANIFEST not in sums or READ_MODEL not in sums:
        raise InvalidInput(f"the backup {folder} is damaged: {SUMS} does not name all of its files")
    for name, wanted in sorted(sums.items()):
        if sha256(folder / name) != wanted:
            raise InvalidInput(
                f"the backup {folder} is damaged: {name} is not what was saved (its SHA-256 differs). "
                "Use another copy of this backup, or an older one"
            )
