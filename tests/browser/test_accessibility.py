"""WCAG 2.2 AA as far as axe-core can tell, on every page, light and dark, on a desk and on a phone."""

import asyncio
from importlib import resources

import pytest
from visitor import DESKTOP, PHONE

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
VIOLATIONS = """async (rules) => {
  const found = await axe.run(document, {resultTypes: ["violations"], runOnly: rules});
  if (!found.testEngine.version || !found.passes.length) throw new Error("axe has looked at nothing");
  return found.violations.flatMap((one) => one.nodes.map((node) =>
    `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary.replace(/\\s+/g, " ").slice(0, 240)}`));
}"""


async def violations(visitor) -> list[str]:
    # By the debugger, not into the page: the page's own policy lets no such script in.
    await visitor.page.evaluate(AXE)
    return await visitor.page.evaluate(VIOLATIONS, RULES)


@pytest.mark.timeout(300)  # four times some twenty pages, each looked at by a hundred rules
async def test_every_page_is_clean(visit, pages):
    async def look(scheme: str, viewport: dict[str, int]) -> dict[str, list[str]]:
        visitor = await visit("/", scheme=scheme, viewport=viewport)
        visitor.expected.append("status of 404")
        found = {}
        for name, path in pages.items():
            await visitor.goto(path)
            await visitor.page.wait_for_load_state("networkidle" if path == "/sql" else "load")
            found[f"{name} {scheme} {viewport['width']}"] = await violations(visitor)
        return found

    looks = await asyncio.gather(
        *(look(scheme, to) for scheme in ("light", "dark") for to in (DESKTOP, PHONE))
    )
    wrong = {page: found for one in looks for page, found in one.items() if found}
    assert wrong == {}, "\n".join(f"{page}: {one}" for page, found in wrong.items() for one in found)


async def test_what_opens_is_clean_too(visit, pages):
    visitor = await visit("/runs?text=squares")
    page = visitor.page
    await page.locator(".choose").first.check()
    await page.get_by_text("More filters").click()
    assert await violations(visitor) == []
    await page.keyboard.press("Control+k")
    await page.locator('#palette-list [role="option"]').first.wait_for()
    assert await violations(visitor) == []
    await page.keyboard.press("Escape")
    await page.locator("#help-open").click()
    assert await violations(visitor) == []


async def test_axe_would_say_it(visit):
    """The check itself: a page made worse is not clean."""
    visitor = await visit("/")
    await visitor.page.evaluate(
        "document.querySelector('h1').outerHTML = '<img src=\"/favicon.ico\"><button></button>'"
    )
    visitor.expected.append("status of 404")
    found = " ".join(await violations(visitor))
    assert "image-alt" in found
    assert "button-name" in found
