"""Client processes of several hosts in the browser: by host, started on the chosen one, unknown while its launcher is away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from launching import WITHOUT, Site
from playwright.async_api import expect
from running import FLOWS, Running, running
from visitor import DESKTOP, PHONE, Visitor

from perfect_bus.settings import Settings

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=WITHOUT) as system:
        yield system


@pytest.fixture
async def site(system: Running, tmp_path: Path) -> AsyncIterator[Site]:
    async with httpx.AsyncClient(base_url=system.system.url, timeout=30) as http:
        site = Site(system, http, tmp_path / "hosts")
        try:
            for host in ("alpha", "beta.lan"):
                await site.launcher(host, same=(FLOWS / "gated.py").read_text())
            yield site
        finally:
            for one in site.launchers:
                await one.stop()


async def test_a_file_is_started_on_the_chosen_host_which_goes_away_and_comes_back(
    site: Site, visit: Visit
) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    visitor = await visit("/clients")
    page = visitor.page
    await expect(page.locator("#start-file optgroup")).to_have_count(2)
    theirs = page.get_by_role("article", name="same.py on beta.lan")
    ours = page.get_by_role("article", name="same.py on alpha")
    for host, process in (("beta.lan", theirs), ("alpha", ours)):
        await page.get_by_label("File").select_option(f"{host}:same.py")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(process.locator(".badge")).to_have_text("running")
    await visitor.live()
    pid = await theirs.locator("p.faint").inner_text()
    site.launchers[1].kill()
    await expect(theirs.locator(".badge")).to_have_text("unknown")
    await expect(theirs).to_contain_text("Unknown since")
    await expect(theirs.get_by_role("button")).to_have_count(0)
    away = page.locator(".process-host", has_text="beta.lan")
    await expect(away).to_contain_text("away since")
    await expect(ours.locator(".badge")).to_have_text("running")
    for screen, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        await page.set_viewport_size(viewport)  # type: ignore[arg-type]
        assert await page.evaluate(TOO_WIDE) == 0, f"the hosts on a {screen} are too wide"
        await page.screenshot(path=PICTURES / f"clients-hosts-{screen}-light.png", animations="disabled")
    await site.launchers[1].start()
    await expect(theirs.locator(".badge")).to_have_text("running")
    await expect(away.locator(".badge")).to_have_count(0)
    assert (await theirs.locator("p.faint").inner_text()).split(",")[0] == pid.split(",")[0]
    await theirs.get_by_role("button", name="Stop same.py on beta.lan").click()
    await expect(theirs.locator(".badge")).to_have_text("stopped")
    await expect(ours.locator(".badge")).to_have_text("running")
