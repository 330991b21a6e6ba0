"""How secrets are kept: sealed with AES-256-GCM, under the key of a file that only its owner can read.

The name of a secret is authenticated with it: what was sealed under one name opens under no other. Without the file
nothing opens; it is in a backup only when that was asked for.
"""

import base64
import contextlib
import os
from pathlib import Path

from perfect_schemas.errors import Failed

KEY_FILE = "secrets.key"
"""In the data folder."""
KEY_BYTES = 32
NONCE_BYTES = 12


class Seal:
    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def close(self, name: str, value: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, value, name.encode())).decode()

    def open(self, name: str, sealed: str) -> bytes:
        """Raises Failed for what another key sealed, or somebody changed."""
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise Failed(
                f"secret {name!r} cannot be opened: it was saved with another key than the one in {KEY_FILE} of the "
                "data folder. Put that file back, or save the secret again"
            ) from None


def seal_of(data_dir: Path) -> Seal:
    """With the key of the data folder, which is made when there is none.

    Raises Failed when others may read it, or it is no key.
    """
    file = data_dir / KEY_FILE
    if not file.exists():
        _make(file)
    return seal_with(file)


def seal_with(file: Path) -> Seal:
    """With the key in `file`. Raises Failed when there is none, others may read it, or it is no key."""
    if not file.exists():
        raise Failed(
            f"there is no {file}, with the key that opens the secrets: put that file back (chmod 600), or save them again"
        )
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise Failed(f"{file} can be read by others (mode {mode:04o}): run `chmod 600 {file}`")
    key = file.read_bytes()
    if len(key) != KEY_BYTES:
        raise Failed(f"{file} is no key: it has {len(key)} bytes instead of {KEY_BYTES}")
    return Seal(key)


def _make(file: Path) -> None:
    """Whole or not at all; the first one wins."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(os.urandom(KEY_BYTES))
            opened.flush()
            os.fsync(opened.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, file)
    finally:
        partial.unlink()
