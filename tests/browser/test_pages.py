"""Every page in light and dark, on a desk and on a phone: it fits, it is clean, and a picture of it is kept."""

import asyncio
from pathlib import Path

import pytest
from visitor import DESKTOP, PHONE

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
SCREENS = {"desktop": DESKTOP, "phone": PHONE}
# What is cut off or scrolls inside its own box is meant to; the page itself must not scroll sideways.
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.timeout(240)  # many pages, each in two widths and themes
async def test_every_page(visit, pages):
    PICTURES.mkdir(parents=True, exist_ok=True)

    async def look(scheme: str, screen: str) -> dict[str, int]:
        visitor = await visit("/", scheme=scheme, viewport=SCREENS[screen])
        visitor.expected.append("status of 404")
        wide = {}
        for name, path in pages.items():
            await visitor.goto(path)
            assert await visitor.page.title()
            if await visitor.page.locator("body[data-seq]").count():
                await visitor.live()
            wide[f"{name} {screen} {scheme}"] = await visitor.page.evaluate(TOO_WIDE)
            await visitor.page.screenshot(
                path=PICTURES / f"{name}-{screen}-{scheme}.png", animations="disabled"
            )
        return wide

    found = await asyncio.gather(
        *(look(scheme, screen) for scheme in ("light", "dark") for screen in SCREENS)
    )
    wide = {page: pixels for one in found for page, pixels in one.items() if pixels > 0}
    assert wide == {}, "pixels by which a page is wider than its screen"


@pytest.mark.timeout(180)
async def test_pages_are_named_for_screen_readers(visit, pages):
    """Every control has a name, every page one main heading, and no id is used twice."""
    visitor = await visit("/")
    visitor.expected.append("status of 404")
    for name, path in pages.items():
        await visitor.goto(path)
        problems = await visitor.page.evaluate(
            """() => {
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
        )
        assert (name, problems) == (name, [])
