"""Settings in the browser: what is in effect and from where, how large everything is, no secret."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import expect
from running import Running
from visitor import DESKTOP, PHONE, Visitor

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"

pytestmark = pytest.mark.shared_system


async def test_settings_sizes_and_versions(system: Running, visit: Visit) -> None:
    visitor = await visit("/settings")
    page = visitor.page
    await visitor.live()
    effective = page.get_by_role("region", name="Settings in effect").get_by_role("row")
    await expect(effective.filter(has_text="data_dir")).to_contain_text("the program")
    await expect(effective.filter(has_text="sql_timeout_s")).to_contain_text("10.0default")
    await expect(page.get_by_text("leave the read model after 180 days")).to_be_visible()
    await expect(page.locator("#sizes")).to_contain_text("the read model")
    events = page.locator("#sizes tr", has_text="EVENTS").locator("td").nth(1)
    before = int(await events.inner_text())
    await system.until_final(await system.trigger("Greeting", name="you"))
    await expect(events).not_to_have_text(str(before))
    password = system.system.connection.password
    assert password
    assert password not in await page.content()
    assert visitor.navigations == 1


async def test_pictures(system: Running, visit: Visit) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    visitor = await visit("/settings")
    await visitor.live()
    for scheme, screen, viewport in (
        ("light", "desktop", DESKTOP), ("dark", "desktop", DESKTOP), ("light", "phone", PHONE), ("dark", "phone", PHONE)
    ):  # fmt: skip
        await visitor.appear(scheme, viewport)
        assert await visitor.page.evaluate(TOO_WIDE) == 0, f"the settings on a {screen} are too wide"
        shot = PICTURES / f"settings-{screen}-{scheme}.png"
        await visitor.page.screenshot(path=shot, animations="disabled", full_page=True)
