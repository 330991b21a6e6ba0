"""Clients in the browser: a file is chosen, started, watched and stopped; who executes what, live."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import expect
from running import FLOWS, Running, running
from visitor import DESKTOP, PHONE, Visitor

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN = "print('<b>about</b> to \\x1b[31mbreak')\nraise RuntimeError('broken on purpose')\n"


@pytest.fixture
async def system(settings: Settings, tmp_path: Path) -> AsyncIterator[Running]:
    folder = tmp_path / "flows"
    (folder / "more").mkdir(parents=True)
    (folder / "good.py").write_text((FLOWS / "gated.py").read_text() + "\nprint('good is read')\n")
    (folder / "more" / "broken.py").write_text(BROKEN)
    async with running(
        msgspec.structs.replace(settings, workflows_dir=folder, launcher_host="here"), groups=GROUPS
    ) as system:
        yield system


async def test_a_process_is_started_watched_and_stopped(system: Running, visit: Visit, gates) -> None:
    visitor = await visit("/clients")
    page = visitor.page
    await expect(page.get_by_text("Nobody is there to execute runs")).to_be_visible()
    await expect(page.locator("#start-file option")).to_have_text(["good.py", "more/broken.py"])
    other = await visit("/clients")  # only looks on
    await other.live()
    await page.get_by_label("File").select_option("good.py")
    await page.get_by_role("button", name="Start", exact=True).click()
    for one in (page, other.page):
        process = one.get_by_role("article", name="good.py")
        await expect(process.locator(".badge")).to_have_text("running")
        await expect(process).to_contain_text("pid ")
        await expect(process.get_by_role("region")).to_contain_text("good is read")
        worker = one.locator("#workers tbody tr")
        await expect(worker).to_have_count(1)
        await expect(worker).to_contain_text("Gated steps")
        await expect(worker.locator(".holds")).to_have_text("nothing")
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=1)
    held = other.page.locator("#workers .holds a")
    await expect(held).to_have_attribute("href", f"/runs/{run_id}")
    await gates.open(0)
    await expect(other.page.locator("#workers .holds")).to_have_text("nothing")
    await page.get_by_role("button", name="Stop good.py").click()
    await expect(other.page.get_by_role("article", name="good.py").locator(".badge")).to_have_text("stopped")
    await expect(other.page.get_by_text("ended with exit code 0")).to_be_visible()
    await expect(other.page.locator("#workers tbody tr")).to_have_count(0)
    await expect(other.page.locator("#workers .gone")).to_contain_text("Gone (1)")
    assert other.navigations == 1


async def test_one_that_breaks_says_when_it_is_tried_again(system: Running, visit: Visit) -> None:
    visitor = await visit("/clients")
    page = visitor.page
    await page.get_by_label("File").select_option("more/broken.py")
    await page.get_by_role("button", name="Start", exact=True).click()
    await visitor.live()
    process = page.get_by_role("article", name="more/broken.py")
    await expect(process.get_by_role("region")).to_contain_text("broken on purpose")
    await expect(process.get_by_role("region")).to_contain_text("<b>about</b> to break")
    await expect(process).to_contain_text("it is started again")
    await expect(process).to_contain_text("restarted 2 times", timeout=20_000)
    await process.get_by_role("button", name="Stop more/broken.py").click()
    await expect(process.locator(".badge")).to_have_text("stopped")
    await expect(process.get_by_role("button", name="Start more/broken.py")).to_be_visible()


@pytest.mark.parametrize(
    ("file", "says"),
    [("../outside.py", "leads out of the workflows folder"), ("none.py", "there is no file 'none.py'")],
)
async def test_what_may_not_be_started_is_refused_in_a_sentence(
    system: Running, visit: Visit, file: str, says: str
) -> None:
    visitor = await visit("/clients")
    page = visitor.page
    await page.locator("#start-file").evaluate("(select, file) => select.add(new Option(file))", file)
    await page.get_by_label("File").select_option(file)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text(says)
    await expect(page.get_by_role("article")).to_have_count(0)


@pytest.mark.parametrize("script", [True, False])
async def test_pictures_and_reading_without_script(system: Running, visit: Visit, script: bool) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    starting = await visit("/clients", script=script)
    for file in ("more/broken.py", "good.py"):
        await starting.page.get_by_label("File").select_option(file)
        await starting.page.get_by_role("button", name="Start", exact=True).click()
        await expect(starting.page.get_by_role("article", name=file)).to_be_visible()
    for scheme, screen, viewport in (
        ("light", "desktop", DESKTOP), ("dark", "desktop", DESKTOP), ("light", "phone", PHONE), ("dark", "phone", PHONE)
    ):  # fmt: skip
        visitor = await visit("/clients", scheme=scheme, viewport=viewport, script=script)
        await expect(visitor.page.locator("#processes")).to_contain_text("good.py")
        if script:
            await visitor.live()
            await expect(visitor.page.locator("#workers tbody tr")).to_contain_text("Gated steps")
            assert await visitor.page.evaluate(TOO_WIDE) == 0, f"the clients on a {screen} are too wide"
            shot = PICTURES / f"clients-{screen}-{scheme}.png"
            await visitor.page.screenshot(path=shot, animations="disabled")
