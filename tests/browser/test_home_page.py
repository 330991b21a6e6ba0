"""Home and the lists: what moves there by itself, and many of a thing."""

import os
import signal
from pathlib import Path

from eventually import eventually
from playwright.async_api import expect
from site_client import Site

from perfect_gateway.pages.library import A_PAGE as FLOWS_A_PAGE
from perfect_gateway.schedules import A_PAGE as SCHEDULES_A_PAGE

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"


def service(page, name: str):
    return page.locator("#services li", has_text=name).first


async def test_the_services_panel_moves_by_itself(visit, system):
    visitor = await visit("/")
    page = visitor.page
    await visitor.live()
    await expect(service(page, "projector").locator(".badge")).to_have_text("ready")
    keeper = next(child for child in system.system.children if "projector" in child.names)
    before = keeper.pid
    assert before is not None
    await page.evaluate(
        """() => { window.said = new Set(); const look = () => document.querySelectorAll("#services li").forEach((one) => {
          if (one.textContent.includes("projector")) window.said.add(one.querySelector(".badge").textContent.trim()); });
          look(); new MutationObserver(look).observe(document.getElementById("services").parentElement, {childList: true, subtree: true, characterData: true}); }"""
    )
    os.kill(before, signal.SIGKILL)
    await page.wait_for_function("() => [...window.said].some((word) => word !== 'ready')")
    await expect(service(page, "projector").locator(".badge")).to_have_text("ready")
    assert keeper.pid != before
    assert visitor.navigations == 1


async def test_failures_come_to_home(visit, system):
    visitor = await visit("/")
    page = visitor.page
    await visitor.live()
    await expect(page.locator("#home-failed")).to_contain_text("No run has failed")
    await expect(page.locator("#home-late")).to_be_hidden()
    run_id = await system.trigger("Division", dividend=3)
    await system.until_final(run_id)
    await expect(page.locator("#home-failed li")).to_have_count(1)
    await expect(page.locator("#home-failed")).to_contain_text("Division")
    await expect(page.locator("#summary .tone-bad dd")).to_have_text("1")
    await page.screenshot(path=PICTURES / "home-failed.png", animations="disabled", full_page=True)
    assert visitor.navigations == 1


async def test_many_schedules_and_flows_are_pages(visit, system):
    """A new one appears where it belongs: on the last page."""
    known = SCHEDULES_A_PAGE + 20
    async with Site.of(system.system.url) as site:
        for n in range(FLOWS_A_PAGE + 5):
            await site.post("/api/engine/register", {"name": f"paper {n:03}"}, status=201)
        for n in range(known):
            spec = {"name": f"s{n:03}", "kind": "cron", "cron": "30 2 * * *"}
            await site.post("/api/schedules", {"flow": f"paper {n % 50:03}", "spec": spec}, status=201)
        await eventually(lambda: listed(site, FLOWS_A_PAGE + 5))
    visitor = await visit("/schedules")
    page = visitor.page
    rows = page.locator("table.schedules tbody tr")
    await expect(rows).to_have_count(SCHEDULES_A_PAGE)
    await expect(page.get_by_text(f"{SCHEDULES_A_PAGE} of {known}, by flow and name.")).to_be_visible()
    first = await rows.first.inner_text()
    await page.get_by_role("link", name="Next page").click()
    await expect(rows).to_have_count(20)
    await visitor.live()
    assert await rows.first.inner_text() > first
    async with Site.of(system.system.url) as site:
        spec = {"name": "zzz", "kind": "cron", "cron": "0 4 * * *"}
        await site.post("/api/schedules", {"flow": "paper 049", "spec": spec}, status=201)
    await expect(rows).to_have_count(21)
    await expect(rows.last).to_contain_text("zzz")
    await rows.last.get_by_role("button", name="Pause").click()
    await page.wait_for_url("**/schedules")
    await page.get_by_role("link", name="Next page").click()
    await expect(rows.last.locator(".badge").first).to_have_text("paused")

    await page.goto(f"{visitor.url}/flows")
    cards = page.locator(".library > *")
    await expect(cards).to_have_count(FLOWS_A_PAGE)
    await page.get_by_role("link", name="Next page").click()
    await expect(cards.last).to_contain_text(f"paper {FLOWS_A_PAGE + 4:03}")
    await page.goto(visitor.url)
    await expect(page.get_by_role("link", name="All 58 flows")).to_be_visible()


async def listed(site: Site, at_least: int) -> bool:
    return len(await site.get("/api/engine/flows")) >= at_least


async def test_the_api_pages_are_found(visit):
    visitor = await visit("/")
    page = visitor.page
    await page.keyboard.press("Control+k")
    await page.locator("#palette-text").fill("api ref")
    await expect(page.locator('#palette-list [role="option"]').first).to_contain_text("/api/docs")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/api/docs")
    await page.goto(f"{visitor.url}/settings")
    await page.locator("main").get_by_role("link", name="API reference").click()
    await page.wait_for_url("**/api/docs")
