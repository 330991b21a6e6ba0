"""Where NATS is: an address and credentials."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """`connection.json`, by which clients find the running system. url without credentials."""

    url: str
    user: str | None = None
    password: str | None = None
    gateway: str | None = None

    @classmethod
    def load(cls, file: Path) -> "Connection":
        return msgspec.json.decode(file.read_bytes(), type=cls)

    @classmethod
    def of_url(cls, url: str) -> "Connection":
        """nats://user:password@host:port → a Connection with the credentials apart."""
        parts = urlsplit(url)
        address = f"{parts.scheme or 'nats'}://{parts.hostname or '127.0.0.1'}:{parts.port or 4222}"
        return cls(url=address, user=parts.username, password=parts.password)

    def save(self, file: Path) -> None:
        """Write atomically, readable by the owner only."""
        part = file.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(self)))
        part.replace(file)
