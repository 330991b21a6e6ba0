"""The statistics window: what is sorted, and the page of a task with its trend, histogram and versions."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from measured import RUNS, told
from playwright.async_api import expect
from running import Running
from site_client import Site
from visitor import DESKTOP, PHONE, Visitor

from perfect_schemas import ids

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
COMPLETIONS = 2 * len(RUNS) + 1

pytestmark = pytest.mark.shared_system


@pytest.fixture(scope="module")
async def measured(shared_system: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    return await told(shared_system, tmp_path_factory.mktemp("measured"))


@pytest.mark.usefixtures("own_system")
async def test_nothing_yet_says_what_to_do(system: Running, visit: Visit) -> None:
    page = (await visit("/statistics")).page
    await expect(page.get_by_role("heading", name="No statistics yet")).to_be_visible()
    await expect(page.locator("main")).to_contain_text("perfect demo")
    await page.get_by_role("link", name="Run a flow").click()
    await expect(page).to_have_url(f"{system.system.url}/flows")


async def test_a_task_that_there_is_not(system: Running, visit: Visit) -> None:
    assert system.workers
    visitor = await visit("/")
    visitor.expected.append("status of 404")
    await visitor.goto(f"/statistics/tasks/{ids.uuid7()}")
    await expect(visitor.page.locator("main")).to_contain_text("or it never ran to completion")


async def test_tasks_are_sorted_and_lead_to_their_pages(system: Running, visit: Visit, measured: str) -> None:
    async with Site.of(system.system.url) as site:
        shown = await site.get("/api/statistics", flow=measured)
        task = {one["task_name"]: one for one in shown["tasks"]}["load"]
        history = await site.get(f"/api/statistics/tasks/{task['id']}", runs=5)
        of_flow = await site.get("/api/engine/flows/Measured/history", runs=5)
    assert sum(bar["count"] for bar in history["histogram"]) == task["sample_count"] == COMPLETIONS
    assert [one["sample_count"] for one in history["versions"]] == [len(RUNS) + 1, len(RUNS)]
    assert len(history["completions"]["run_id"]) == len(of_flow["runs"]["id"]) == 5
    assert history["completions"]["run_id"] == of_flow["runs"]["id"]
    assert of_flow["tasks"][0]["name"] == "load"
    assert of_flow["tasks"][0]["duration_ms"] == history["completions"]["duration_ms"]
    page = (await visit("/statistics")).page
    tasks = page.locator("section[aria-labelledby=task-title]")
    names = tasks.locator("tbody tr td:first-child")
    await tasks.get_by_role("button", name="Mean").click()
    await expect(names).to_have_text(["load", "clean", "store"])
    await tasks.get_by_role("button", name="Task").click()
    await expect(names).to_have_text(["clean", "load", "store"])
    await tasks.get_by_role("link", name="load").click()
    await expect(page.locator("h1")).to_have_text("load")
    await expect(page.locator("#task-chart .words")).to_contain_text(f"The last {COMPLETIONS}:")
    await expect(page.locator("#task-chart canvas")).to_be_visible()


@pytest.mark.parametrize("script", [True, False])
async def test_pictures_and_reading_without_script(visit: Visit, measured: str, script: bool) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    task = ids.task_id(measured, "load")
    for scheme, screen, viewport in (
        ("light", "desktop", DESKTOP), ("dark", "desktop", DESKTOP), ("light", "phone", PHONE), ("dark", "phone", PHONE)
    ):  # fmt: skip
        visitor = await visit("/statistics", scheme=scheme, viewport=viewport, script=script)
        page = visitor.page
        await expect(page.get_by_role("link", name="load")).to_be_visible()
        await visitor.goto(f"/statistics/tasks/{task}")
        assert await page.locator("#task-histogram .bar").count() > 3
        await expect(page.locator("section[aria-labelledby=versions-title] tbody tr")).to_have_count(2)
        if not script:
            await expect(page.get_by_text("need none")).to_be_visible()
            continue
        await expect(page.locator("#task-chart[data-state=drawn]")).to_be_visible()
        assert await page.evaluate(TOO_WIDE) == 0, f"too wide on a {screen}"
        await page.screenshot(
            path=PICTURES / f"task-statistics-{screen}-{scheme}.png", animations="disabled", full_page=True
        )
