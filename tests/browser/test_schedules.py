"""Schedules in the browser: what is shown without script, live rows, the form with its preview, backfills."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import expect
from running import Running
from site_client import Site
from visitor import DESKTOP, PHONE, Visitor

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
GREETED = {"name": "you"}
NIGHTLY = {
    "name": "nightly",
    "kind": "cron",
    "cron": "30 2 * * *",
    "timezone": "Europe/Rome",
    "overlap": "skip",
    "parameters": GREETED,
}
TICKS = {"name": "ticks", "kind": "cron", "cron": "*/2 * * * * *", "parameters": GREETED}

pytestmark = pytest.mark.shared_system


async def made(system: Running, spec: dict, flow: str = "Greeting") -> str:
    async with Site.of(system.system.url) as site:
        return (await site.post("/api/schedules", {"flow": flow, "spec": spec}, status=201))["id"]


@pytest.mark.usefixtures("own_system")
async def test_a_schedule_is_made_changed_and_removed(system: Running, visit: Visit) -> None:
    visitor = await visit("/schedules")
    page = visitor.page
    await expect(page.get_by_role("heading", name="No schedules yet")).to_be_visible()
    await page.get_by_role("link", name="New schedule").click()
    await page.get_by_label("Flow", exact=True).select_option("Greeting")
    await page.get_by_label("Name", exact=False).first.fill("nightly")
    preview = page.locator("#schedule-preview")
    await expect(preview).to_contain_text("at 02:30 every day, UTC")
    await page.get_by_label("Cron line").fill("0 9 * * 1-5")
    await expect(preview).to_contain_text("at 09:00 Monday to Friday, UTC")
    await page.get_by_role("combobox", name="Time zone").fill("Europe/Roma")
    await expect(preview).to_contain_text("there is no time zone 'Europe/Roma'")
    await page.get_by_role("button", name="Make the schedule").click()
    await expect(page.locator(".field.invalid")).to_contain_text("there is no time zone 'Europe/Roma'")
    await page.get_by_role("combobox", name="Time zone").fill("Europe/Rome")
    await expect(preview.locator("tbody tr")).to_have_count(8)
    await page.get_by_role("button", name="Make the schedule").click()
    await expect(page.locator(".field.invalid")).to_contain_text("name: is required by the flow")
    await page.get_by_label("Parameters").fill('{"name": "you"}')
    await page.get_by_role("button", name="Make the schedule").click()
    await expect(page.locator("h1")).to_contain_text("nightly")
    await expect(page.locator(".coming tbody tr")).to_have_count(20)
    await expect(page.locator(".coming tbody tr").first).to_contain_text("09:00:00 +0")
    await page.get_by_role("link", name="Edit…").click()
    await page.get_by_role("radio", name="interval").check()
    await page.get_by_label("Every").fill("90")
    await page.get_by_label("Unit").select_option("seconds")
    await expect(preview).to_contain_text("every 90 seconds")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".lead")).to_contain_text("every 90 seconds")
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("heading", name="No schedules yet")).to_be_visible()


async def test_rows_live(system: Running, visit: Visit) -> None:
    nightly = await made(system, NIGHTLY)
    visitor = await visit("/schedules")
    page = visitor.page
    await visitor.live()
    row = page.locator(f"#schedule-row-{nightly}")
    await expect(row).to_contain_text("at 02:30 every day, Europe/Rome")
    ticks = await made(system, TICKS)
    other = page.locator(f"#schedule-row-{ticks}")
    await expect(other).to_contain_text("fired")
    await expect(other).to_contain_text("late")
    await row.get_by_role("button", name="Pause").click()
    await expect(row).to_contain_text("paused by api")
    await visitor.live()
    before = visitor.navigations
    async with Site.of(system.system.url) as site:
        await site.post(f"/api/schedules/{nightly}/resume", status=200)
        await expect(row.get_by_role("button", name="Pause")).to_be_visible()
        await site.http.delete(f"/api/schedules/{nightly}")
        await site.http.delete(f"/api/schedules/{ticks}")
    await expect(row).to_have_count(0)
    assert visitor.navigations == before


async def test_the_page_of_one_lives_and_leads_to_its_runs(system: Running, visit: Visit) -> None:
    ticks = await made(system, TICKS)
    visitor = await visit(f"/schedules/{ticks}")
    page = visitor.page
    await visitor.live()
    decisions = page.locator("#schedule-decisions tr")
    await expect(decisions.nth(1)).to_be_visible()
    assert visitor.navigations == 1
    await decisions.last.get_by_role("link").click()
    scheduled = page.locator(".run-header .facts a[href^='/schedules/']")
    await expect(scheduled).to_have_attribute("href", f"/schedules/{ticks}")
    async with Site.of(system.system.url) as site:
        flow = await site.get("/api/engine/flows/Greeting")
        await visitor.goto(f"/flows/{flow['id']}")
        await visitor.live()
        panel = page.locator(f"#flow-{flow['id']}-schedules")
        await expect(panel).to_contain_text("every 2 seconds")
        await site.post(f"/api/schedules/{ticks}/pause", status=200)
        await expect(panel).to_contain_text("paused")


async def test_a_backfill_is_shown_then_done(system: Running, visit: Visit) -> None:
    nightly = await made(system, NIGHTLY | {"name": "to-be-filled"})
    visitor = await visit(f"/schedules/{nightly}")
    page = visitor.page
    await page.get_by_label("From").fill("2026-03-28T00:00")
    await page.get_by_label("Until").fill("2026-03-31T00:00")
    await page.get_by_role("button", name="Show what would run").click()
    await expect(page.locator(".backfill-shown")).to_contain_text("3 runs would be started")
    await expect(page.locator(".backfill-shown li").nth(1)).to_contain_text("29 Mar 2026, 03:00:00")
    await page.get_by_role("button", name="Start 3 runs").click()
    await expect(page.locator("#schedule-decisions tr")).to_have_count(3)
    await expect(page.locator("#schedule-decisions tr").first).to_contain_text("backfill by api")
    await page.get_by_label("From").fill("2026-04-02T00:00")
    await page.get_by_label("Until").fill("2026-04-01T00:00")
    await page.get_by_role("button", name="Show what would run").click()
    await expect(page.get_by_role("alert")).to_contain_text("must be after since")


@pytest.fixture
async def shown(own_system: Running) -> dict[str, str]:
    nightly = await made(own_system, NIGHTLY)
    often = {
        "name": "often",
        "kind": "interval",
        "interval_ms": 900_000,
        "active": False,
        "parameters": {"folder": "x"},
    }
    await made(own_system, often, "Gated steps")
    async with Site.of(own_system.system.url) as site:
        body = {"since": "2026-10-20T00:00:00Z", "until": "2026-10-27T00:00:00Z"}
        await site.post(f"/api/schedules/{nightly}/backfill", body, status=200)
        flow = (await site.get("/api/engine/flows/Greeting"))["id"]
    return {
        "schedules": "/schedules",
        "schedule": f"/schedules/{nightly}",
        "schedule-new": f"/schedules/new?flow={flow}",
        "schedule-edit": f"/schedules/{nightly}/edit",
        "flow-schedules": f"/flows/{flow}",
    }


@pytest.mark.parametrize("script", [True, False])
async def test_pictures_and_reading_without_script(visit: Visit, shown: dict[str, str], script: bool) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for scheme, screen, viewport in (
        ("light", "desktop", DESKTOP), ("dark", "desktop", DESKTOP), ("light", "phone", PHONE), ("dark", "phone", PHONE)
    ):  # fmt: skip
        visitor = await visit("/", scheme=scheme, viewport=viewport, script=script)
        for name, path in shown.items():
            await visitor.goto(path)
            await expect(visitor.page.locator("main")).to_contain_text("Greeting")
            if script:
                assert await visitor.page.evaluate(TOO_WIDE) == 0, f"{name} on a {screen} is too wide"
                shot = PICTURES / f"{name}-{screen}-{scheme}.png"
                await visitor.page.screenshot(path=shot, animations="disabled", full_page=name == "schedule")
