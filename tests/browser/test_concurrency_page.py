"""Concurrency in the browser: a limit is set, taken, waited for and removed, and the page says so as it happens."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import expect
from running import FLOWS, Running
from site_client import Site
from visitor import DESKTOP, PHONE, Visitor

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
LIMIT = "flow:Gated steps"

pytestmark = pytest.mark.shared_system


@pytest.mark.usefixtures("own_system")
async def test_a_limit_is_set_taken_waited_for_and_removed(system: Running, visit: Visit, gates) -> None:
    looking = await visit("/concurrency")
    await expect(looking.page.get_by_role("heading", name="No limits yet")).to_be_visible()
    await looking.live()
    visitor = await visit("/concurrency")
    page = visitor.page
    await page.get_by_label("Name").fill(LIMIT)
    await page.get_by_label("Slots").fill("1")
    await page.get_by_role("button", name="Set the limit").click()
    row = looking.page.locator("#limits tbody tr")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("0 of 1")
    first = await system.trigger("Gated steps", folder=gates.folder, count=1)
    await expect(row.locator("td").nth(2).locator("a")).to_have_attribute("href", f"/runs/{first}")
    second = await system.trigger("Gated steps", folder=gates.folder, count=1)
    await expect(row.locator("td").nth(3).locator("a")).to_have_attribute("href", f"/runs/{second}")
    await expect(row).to_contain_text("1 of 1")
    await gates.open(0)
    await expect(row.locator("td").nth(2).locator("a")).to_have_attribute("href", f"/runs/{second}")
    await expect(row.locator("td").nth(3)).to_have_text("nobody")
    await gates.open(0)
    await expect(row).to_contain_text("0 of 1")
    await page.get_by_role("button", name=f"Remove {LIMIT}").click()
    await expect(row).to_have_count(0)
    assert looking.navigations == 1


@pytest.mark.usefixtures("own_system")
async def test_a_task_that_waits_for_a_slot(system: Running, visit: Visit, tmp_path: Path) -> None:
    await system.worker(FLOWS / "waiting.py", name="waiting")
    async with Site.of(system.system.url) as site:
        await site.http.put("/api/engine/limits/database", json={"slots": 0})
        visitor = await visit("/concurrency")
        await visitor.live()
        row = visitor.page.locator("#limits tbody tr")
        await expect(row).to_contain_text("0 of 0")
        run_id = await system.trigger("limited", path=str(tmp_path / "trace"), times=1)
        waits = row.locator("td").nth(3)
        await expect(waits.locator("a")).to_have_attribute("href", f"/runs/{run_id}")
        await expect(waits).to_contain_text("hold")
        await site.http.put("/api/engine/limits/database", json={"slots": 1})
        await expect(row).to_contain_text("of 1")
        await expect(waits).to_have_text("nobody")
        await system.until_final(run_id)
    assert visitor.navigations == 1


async def test_wrong_numbers_are_named(system: Running, visit: Visit) -> None:
    visitor = await visit("/concurrency")
    page = visitor.page
    await page.locator(".limit-form").evaluate("form => form.noValidate = true")
    await page.get_by_label("Name").fill("database")
    await page.get_by_label("Slots").fill("2000000")
    await page.get_by_role("button", name="Set the limit").click()
    await expect(page.locator(".field.invalid")).to_contain_text("must be between 0 and 1000000")
    await expect(page.get_by_label("Name")).to_have_value("database")
    await page.get_by_label("Slots").fill("2.5")
    await page.locator(".limit-form").evaluate("form => form.noValidate = true")
    await page.get_by_role("button", name="Set the limit").click()
    await expect(page.locator(".field.invalid")).to_contain_text("must be a whole number")


async def test_pictures(system: Running, visit: Visit, gates) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with Site.of(system.system.url) as site:
        for name, body in (
            (LIMIT, {"slots": 1}),
            ("database", {"slots": 4}),
            ("calls", {"slots": 10, "slot_decay_per_second": 2.5}),
        ):
            await site.http.put(f"/api/engine/limits/{name}", json=body)
    await system.trigger("Gated steps", folder=gates.folder, count=1)
    await system.trigger("Gated steps", folder=gates.folder, count=1)
    visitor = await visit("/concurrency")
    await visitor.live()
    for scheme, screen, viewport in (
        ("light", "desktop", DESKTOP), ("dark", "desktop", DESKTOP), ("light", "phone", PHONE), ("dark", "phone", PHONE)
    ):  # fmt: skip
        await visitor.appear(scheme, viewport)
        await expect(visitor.page.locator("#limits")).to_contain_text("1 of 1")
        assert await visitor.page.evaluate(TOO_WIDE) == 0, f"the limits on a {screen} are too wide"
        await visitor.page.screenshot(
            path=PICTURES / f"concurrency-{screen}-{scheme}.png", animations="disabled"
        )
    await gates.open(0)
    await gates.open(0)
