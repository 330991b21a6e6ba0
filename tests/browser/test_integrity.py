"""The Integrity page: what was proved, and what it looks like when something does not hold."""

from pathlib import Path

import pytest
from site_client import Site

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"


@pytest.fixture
async def ran(system, gates) -> None:
    async with Site.of(system.system.url) as site:
        run = await site.trigger("Greeting", name="n")
        await site.finished(run["id"])


async def test_every_check_says_what_it_proves(ran, visit) -> None:
    visitor = await visit("/")
    page = visitor.page
    await page.get_by_role("link", name="Integrity", exact=True).click()
    verdict = page.locator(".verdict")
    await verdict.wait_for()
    assert "checks passed" in await verdict.inner_text()
    rows = page.locator("tr[data-check]")
    assert await rows.count() >= 14
    assert await page.locator("tr[data-check][data-ok=false]").count() == 0
    for name in ("offsets", "repeated_tasks", "slots", "refold", "holes"):
        cells = page.locator(f"tr[data-check={name}] td")
        assert (await cells.nth(1).inner_text()).endswith(".")
        assert any(letter.isdigit() for letter in await cells.nth(2).inner_text())
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=PICTURES / "integrity.png")
