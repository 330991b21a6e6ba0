"""What every page has: keys, the palette, themes, times in one's own zone, errors that say what to do."""

import os
import re
import signal

import pytest
from eventually import eventually
from playwright.async_api import expect
from running import FLOWS
from visitor import PHONE

from perfect_ui.menu import MENU

pytestmark = pytest.mark.shared_system


async def test_keys_lead_to_every_page(visit):
    visitor = await visit("/")
    page = visitor.page
    assert len({entry.letter for entry in MENU}) == len(MENU)
    for entry in MENU[1:] + MENU[:1]:
        await page.keyboard.press("g")
        await page.keyboard.press(entry.letter)
        await page.wait_for_url(visitor.url + entry.href)
        await expect(page.locator('nav[aria-label="Main"] [aria-current="page"]')).to_have_text(entry.label)


@pytest.mark.usefixtures("own_system")
async def test_search_and_rows_by_keys(visit, system):
    for n in range(3):
        await system.until_final(await system.trigger("Division", dividend=n))
    visitor = await visit("/integrity")
    page = visitor.page
    await page.keyboard.press("/")
    await page.wait_for_url("**/runs#search")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("#search")).not_to_be_focused()
    await page.keyboard.press("/")
    await expect(page.locator("#search")).to_be_focused()
    await page.keyboard.type("gr?")
    await expect(page.locator("#search")).to_have_value("gr?")
    await expect(page.locator("#help")).not_to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#search")).not_to_be_focused()

    rows = page.locator("#runs-body tr")
    await expect(rows).to_have_count(3)
    for key, row in (("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)):
        await page.keyboard.press(key)
        await expect(rows.nth(row).locator("a").first).to_be_focused()
    await page.keyboard.press("x")
    await expect(rows.nth(1).locator(".choose")).to_be_checked()
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}"))


async def test_the_list_of_keys_and_its_switch(visit):
    visitor = await visit("/")
    page = visitor.page
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.get_by_label("Single keys work").uncheck()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help")).not_to_be_visible()
    await page.keyboard.press("?")
    await expect(page.locator("#help")).not_to_be_visible()
    await page.reload()
    await page.keyboard.press("?")
    await expect(page.locator("#help")).not_to_be_visible()
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("dialog", name="Find")).to_be_visible()


async def test_the_palette_finds_pages_flows_runs_and_actions(visit, system):
    run_id = await system.trigger("Division", dividend=1, divisor=1)
    await system.until_final(run_id)
    visitor = await visit("/sql")
    page = visitor.page
    options = page.locator('#palette-list [role="option"]')

    async def find(text: str) -> None:
        await page.keyboard.press("Control+k")
        await page.locator("#palette-text").fill(text)

    await find("sched")
    await expect(options.first).to_contain_text("Schedules")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/schedules")
    await find("flow greet")
    await expect(options.first).to_contain_text("Greeting")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/flows/*")
    await expect(page.locator("h1")).to_have_text("Greeting")
    await find(f"run {run_id[-8:]}")
    await expect(options.first).to_contain_text("Division")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/runs/{run_id}*")
    await find("next theme")
    await options.first.click()
    assert await page.evaluate("document.documentElement.dataset.theme") == "light"
    await find("nothing is called so")
    await expect(options).to_have_count(1)
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/runs?text=nothing*")
    await expect(page.get_by_text("No run matches")).to_be_visible()


async def test_the_palette_by_touch(visit):
    visitor = await visit("/", viewport=PHONE)
    await visitor.page.get_by_role("button", name="Find").click()
    await visitor.page.locator('#palette-list [role="option"]', has_text="Integrity").click()
    await visitor.page.wait_for_url("**/integrity")


async def test_skip_link_and_focus(visit):
    visitor = await visit("/")
    page = visitor.page
    await page.keyboard.press("Tab")
    await expect(page.get_by_text("Skip to content")).to_be_focused()
    await expect(page.get_by_text("Skip to content")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('main') !== null")
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


async def test_themes_are_kept(visit):
    visitor = await visit("/", scheme="dark")
    page = visitor.page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = await page.evaluate(ground)
    await page.keyboard.press("t")
    light = await page.evaluate(ground)
    assert light != dark
    await page.goto(visitor.url + "/runs")
    assert await page.evaluate(ground) == light
    await expect(page.get_by_role("button", name="Theme: light")).to_be_visible()


async def test_nothing_moves_for_who_wants_that(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=1)
    visitor = await visit("/")
    page = visitor.page
    await page.emulate_media(reduced_motion="reduce")
    await expect(page.locator(f"#live-runs #run-card-{run_id}")).to_be_visible()
    assert await page.evaluate("document.getAnimations().length") == 0
    await gates.open(0)


async def test_times_are_in_the_zone_of_the_browser(visit, system):
    run_id = await system.trigger("Division", dividend=1, divisor=1)
    await system.until_final(run_id)
    visitor = await visit("/runs")
    time = visitor.page.locator("#runs-body time").first
    await expect(time).to_have_text(re.compile(r"just now|\d+ s ago"))
    title = await time.get_attribute("title")
    here, utc = title.split("\n")
    assert utc.endswith(" UTC")
    hour = int(utc[11:13])
    assert f"{(hour + 1) % 24:02d}:{utc[14:16]}" in here or f"{(hour + 2) % 24:02d}:{utc[14:16]}" in here


async def test_what_is_not_there(visit):
    visitor = await visit("/")
    visitor.expected.append("status of 404")
    page = visitor.page
    await visitor.goto("/nowhere")
    await expect(page.get_by_text("There is nothing at /nowhere")).to_be_visible()
    await page.get_by_label("Search the runs").fill("Division")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/runs?text=Division")


@pytest.mark.usefixtures("own_system")
async def test_a_service_that_does_not_answer(visit, system):
    visitor = await visit("/")
    visitor.expected.append("status of 503")
    page = visitor.page
    projector = system.pid_now("projector")
    os.kill(projector, signal.SIGSTOP)
    try:
        await visitor.goto("/runs?text=squares")
        await expect(page.locator("h1")).to_be_visible()
        await expect(page.get_by_text("perfect doctor")).to_be_visible()
    finally:
        os.kill(projector, signal.SIGCONT)
    await system.until_ready()
    await page.get_by_role("link", name="Try again").click()
    await expect(page.locator("h1")).to_have_text("Runs")
    assert page.url.endswith("/runs?text=squares")


@pytest.mark.usefixtures("own_system")
@pytest.mark.parametrize("script", [True, False], ids=["with script", "without"])
async def test_home_says_what_went_wrong_and_how_much_was_done(visit, system, script):
    await system.worker(FLOWS / "busy.py", name="w2")
    failed = await system.trigger("Division", dividend=1, divisor=0)
    done = [await system.trigger("Squares", count=1) for _ in range(3)]
    for run_id in (failed, *done):
        await system.until_final(run_id)
    visitor = await visit("/", script=script)
    page = visitor.page

    async def is_all_shown() -> bool:
        await visitor.goto("/")
        return "25.0 %" in await page.locator("#throughput dl").inner_text()

    if not script:  # the page stays as it came
        await eventually(is_all_shown, every_s=0.2)
    one = page.locator(".failed li")
    await expect(one).to_have_count(1)
    await expect(one).to_contain_text("ZeroDivisionError")
    await expect(page.locator("#throughput dl")).to_contain_text("25.0 %")
    await expect(page.locator("#throughput .bad rect, #throughput rect.bad")).to_have_count(1)
    await expect(page.locator(".services li")).to_have_count(5)
    await expect(page.locator(".services .badge", has_text="ready")).to_have_count(5)
    if script:
        await visitor.live()
        await system.until_final(await system.trigger("Squares", count=1))
        await expect(page.locator("#throughput dl")).to_contain_text("20.0 %")
        assert visitor.navigations == 1
