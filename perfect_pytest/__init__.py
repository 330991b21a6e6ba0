"""pytest fixtures for flows, found by pytest itself once `perfect-flow` is installed.

Nothing of Perfect is imported before a test asks for a fixture.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from perfect_sdk.testing import Clock


@pytest.fixture
def perfect_clock() -> "Iterator[Clock]":
    """Time stands still for flows, and jumps to whatever they wait for; see `perfect_sdk.testing.Clock`."""
    from perfect_sdk.testing import Clock

    with Clock() as clock:
        yield clock


@pytest.fixture
def perfect_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows that the test calls as functions are not recorded, even where a system runs."""
    monkeypatch.setenv("PERFECT_OFFLINE", "1")
