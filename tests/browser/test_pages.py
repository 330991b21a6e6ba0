"""Every page in light and dark, on a desk and on a phone: it fits, it is clean, and a picture of it is kept."""

from pathlib import Path
from typing import NamedTuple

import pytest
from visitor import DESKTOP, PHONE, Visitor

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
SCREENS = {"desktop": DESKTOP, "phone": PHONE}
# What is cut off or scrolls inside its own box is meant to; the page itself must not scroll sideways.
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
UNNAMED = """() => {
  const found = [];
  if (document.querySelectorAll("h1").length !== 1) found.push("not one h1");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) found.push(`twice: ${id}`);
  for (const control of document.querySelectorAll("button, a, input:not([type=hidden]), select, textarea")) {
    if (!control.checkVisibility()) continue;
    const label = control.labels?.[0]?.textContent || control.getAttribute("aria-label")
      || control.textContent || control.getAttribute("title") || "";
    if (!label.trim()) found.push(`no name: ${control.outerHTML.slice(0, 120)}`);
  }
  return found;
}"""

pytestmark = [
    pytest.mark.shared_system,
    pytest.mark.timeout(300),  # some thirty pages, each in two widths and themes
]


class Looks(NamedTuple):
    """By page, screen and theme. wide: pixels by which it is wider than its screen. unnamed: what has no name."""

    wide: dict[str, int]
    unnamed: dict[str, list[str]]


@pytest.fixture(scope="module")
async def looks(shared_system, browser, pages) -> Looks:
    PICTURES.mkdir(parents=True, exist_ok=True)
    looks = Looks({}, {})
    visitor = await Visitor.come(browser, shared_system.system.url)
    visitor.expected.append("status of 404")
    page = visitor.page
    for name, path in pages.items():
        await visitor.goto(path)
        assert await page.title()
        if await page.locator("body[data-seq]").count():
            await visitor.live()
        for screen, viewport in SCREENS.items():
            for scheme in ("light", "dark"):
                await visitor.appear(scheme, viewport)
                looks.wide[f"{name} {screen} {scheme}"] = await page.evaluate(TOO_WIDE)
                picture = PICTURES / f"{name}-{screen}-{scheme}.png"
                await page.screenshot(path=picture, animations="disabled")
            looks.unnamed[f"{name} {screen}"] = await page.evaluate(UNNAMED)
        await visitor.appear("light", DESKTOP)
    await visitor.context.close()
    visitor.check()
    return looks


async def test_every_page_fits(looks, pages):
    assert len(looks.wide) == 4 * len(pages)
    assert {page: pixels for page, pixels in looks.wide.items() if pixels > 0} == {}


async def test_pages_are_named_for_screen_readers(looks, pages):
    """Every control has a name, every page one main heading, and no id is used twice."""
    assert len(looks.unnamed) == 2 * len(pages)
    assert {page: found for page, found in looks.unnamed.items() if found} == {}
