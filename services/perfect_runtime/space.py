"""Room on a disk: how much there is, and how much has to stay free."""

import os
from pathlib import Path
from typing import NamedTuple

MB = 1024 * 1024
LEAST = 64 * MB  # DuckDB needs room for its log and for the blocks that a checkpoint writes anew
SHARE = 0.02


class Space(NamedTuple):
    """In bytes, as far as an unprivileged process may use it."""

    total: int
    free: int


def space(folder: Path) -> Space:
    found = os.statvfs(folder)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def needed(total: int, min_free_bytes: int) -> int:
    """What has to stay free of a disk of `total` bytes: `min_free_bytes`, on a small disk 2 % of it; 64 MB at least."""
    return max(min(min_free_bytes, int(total * SHARE)), min(min_free_bytes, LEAST))


def shown(count: int) -> str:
    """`12.3 MB`, `1.5 GB`."""
    return f"{count / 2**30:.1f} GB" if count >= 2**30 else f"{count / MB:.1f} MB"
