"""A whole system with a worker, and a browser that looks at it."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright
from running import FLOWS, Running, running
from site_client import Site
from visitor import Visitor, launch

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_ui.menu import MENU


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


@pytest.fixture
async def pages(system, gates) -> dict[str, str]:
    """Name → path of pages with something on them, those of the menu among them: three kinds of runs, one of them under way."""
    await system.worker(FLOWS / "busy.py", name="a worker with a rather long name")
    async with Site.of(system.system.url) as site:
        squares = [await site.trigger("Squares", count=30) for _ in range(4)]
        many = await site.trigger("Squares", count=300)
        talkative = await site.trigger("Talkative", lines=200)
        failed = await site.trigger("Division", dividend=3)
        running = await site.trigger("Gated steps", folder=gates.folder, count=3)
        await gates.open(0, "\x1b[32mgo\x1b[0m, with <b>colour</b>")
        for run in (*squares, many, talkative, failed):
            await site.finished(run["id"])
        waiting = await site.post("/api/engine/register", {"name": "Paper"}, status=201)
        await site.trigger("Paper")
        flow = next(flow for flow in await site.get("/api/engine/flows") if flow["name"] == "Greeting")
    return {
        "runs-none": "/runs?text=nothing+is+called+so",
        **{entry.key: entry.href for entry in MENU},
        "run-running": f"/runs/{running['id']}",
        "run-completed": f"/runs/{squares[-1]['id']}",
        "run-many-tasks": f"/runs/{many['id']}",
        "run-logs": f"/runs/{talkative['id']}",
        "run-failed": f"/runs/{failed['id']}",
        "flow": f"/flows/{squares[0]['flow_id']}",
        "flow-form": f"/flows/{flow['id']}",
        "flow-waiting": f"/flows/{waiting['id']}",
        "not-found": "/runs/nothing",
    }
