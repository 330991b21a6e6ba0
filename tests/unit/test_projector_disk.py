import asyncio
from pathlib import Path

import pytest

from perfect_projector.disk import DiskGuard
from perfect_runtime.space import LEAST, MB, Space, needed, space


@pytest.mark.parametrize(
    ("total_mb", "min_free_mb", "wanted_mb"),
    [
        (1_000_000, 512, 512),
        (25_600, 512, 512),
        (10_000, 512, 200),  # 2 % of a small disk
        (1_000, 512, 64),  # never so little that a checkpoint finds no room
        (1_000_000, 32, 32),  # but what somebody has set counts
        (1_000_000, 0, 0),
    ],
)
def test_what_has_to_stay_free(total_mb: int, min_free_mb: int, wanted_mb: int) -> None:
    assert needed(total_mb * MB, min_free_mb * MB) == wanted_mb * MB


def test_a_real_disk_has_some_room(tmp_path: Path) -> None:
    found = space(tmp_path)
    assert 0 < found.free <= found.total


async def test_it_waits_says_so_once_and_goes_on_by_itself(tmp_path: Path) -> None:
    said: list[str] = []
    looks = [Space(1000 * MB, LEAST - 1)] * 3 + [Space(1000 * MB, LEAST)]
    guard = DiskGuard(
        tmp_path,
        min_free_bytes=512 * MB,
        say=said.append,
        clear=lambda: said.append("clear"),
        measure=lambda _: looks.pop(0),
        again_s=0,
    )
    await asyncio.wait_for(guard.wait_for_room(), 60)
    assert looks == []
    assert len(said) == 2
    assert "63 MB free, 64 MB have to stay free" in said[0]
    assert said[1] == "clear"
    assert not guard.why

    looks.append(Space(1000 * MB, 500 * MB))
    await guard.wait_for_room()
    assert len(said) == 2
