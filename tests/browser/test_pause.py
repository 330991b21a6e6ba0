"""Pausing a run on its page: the button, what the page says meanwhile, and Resume; a queue that no worker serves."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import expect
from running import FLOWS, Running
from visitor import Visitor

Visit = Callable[..., Awaitable[Visitor]]


async def test_pause_and_resume_on_the_page(system: Running, visit: Visit, tmp_path: Path) -> None:
    await system.worker(FLOWS / "paused.py", name="pausing", concurrency=1)
    os.mkfifo(tmp_path / "gate-a")
    run_id = await system.trigger("paused-parent", folder=str(tmp_path))
    visitor = await visit(f"/runs/{run_id}")
    page = visitor.page
    await visitor.live()
    header = page.locator(".run-header")
    pause = header.get_by_role("button", name="Pause", exact=True)
    await expect(page.locator("tr[data-state=RUNNING]")).to_have_count(1)
    await pause.click()
    await expect(header).to_contain_text("is being paused by api")
    await expect(pause).to_have_count(0)
    (tmp_path / "gate-a").write_text("go")
    (tmp_path / "gate-a").unlink()
    await expect(header).to_contain_text("paused by api: goes on when it is resumed")
    await header.get_by_role("button", name="Resume", exact=True).click()
    await expect(header).to_contain_text("completed")
    visitor.check()


async def test_a_task_whose_queue_nobody_serves(system: Running, visit: Visit, tmp_path: Path) -> None:
    await system.worker(FLOWS / "remote.py", name="remote", concurrency=1)
    run_id = await system.trigger("mixed", path=str(tmp_path / "trace"))
    visitor = await visit(f"/runs/{run_id}")
    await expect(visitor.page.locator(".run-header")).to_contain_text("waits for a worker of queue 'gpu'")
    await expect(visitor.page.locator("tr[data-state=PENDING]")).to_contain_text("on queue gpu")
    await system.worker(FLOWS / "remote.py", name="gpu", queue="gpu")
    await expect(visitor.page.locator(".run-header")).to_contain_text("completed")
    visitor.check()
