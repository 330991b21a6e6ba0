"""A whole system with a worker, and a browser that looks at it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright
from running import FLOWS, Running, running
from visitor import Visitor, launch

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS


class Gates:
    """Named pipes at which the tasks of `Gated steps` wait."""

    def __init__(self, folder: Path, count: int = 8) -> None:
        self.folder = str(folder)
        folder.mkdir()
        for n in range(count):
            os.mkfifo(folder / f"gate-{n}")

    async def open(self, n: int, text: str = "go") -> None:
        """Let step `n` go on; waits until it stands at its gate."""
        await asyncio.wait_for(asyncio.to_thread(Path(self.folder, f"gate-{n}").write_text, text), 20)


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path / "gates")


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "gated.py")
        yield system


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest.fixture
async def visit(browser: Browser, system: Running) -> AsyncIterator[Callable[..., Awaitable[Visitor]]]:
    """`visitor = await visit("/runs")`: a new tab on that page. All of them are checked at the end of the test."""
    visitors: list[Visitor] = []

    async def come(path: str = "/", **options: Any) -> Visitor:
        visitor = await Visitor.come(browser, system.system.url, **options)
        visitors.append(visitor)
        await visitor.goto(path)
        return visitor

    yield come
    for visitor in visitors:
        await visitor.context.close()
        visitor.check()
