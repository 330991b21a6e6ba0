"""WCAG 2.2 AA as far as axe-core can tell, on every page, light and dark, on a desk and on a phone."""

from importlib import resources

import pytest
from visitor import DESKTOP, PHONE

AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
OF_COLOURS = ("color-contrast", "link-in-text-block")  # what a theme can change
VIOLATIONS = """async (rules) => {
  const found = await axe.run(document, {resultTypes: ["violations"], runOnly: rules});
  if (!found.testEngine.version || !found.passes.length) throw new Error("axe has looked at nothing");
  return found.violations.flatMap((one) => one.nodes.map((node) =>
    `${one.id}: ${node.html.slice(0, 160)} ${node.failureSummary.replace(/\\s+/g, " ").slice(0, 240)}`));
}"""


pytestmark = pytest.mark.shared_system


async def violations(visitor) -> list[str]:
    await visitor.page.evaluate(AXE)
    return await visitor.page.evaluate(VIOLATIONS, RULES)


@pytest.mark.timeout(300)  # some thirty pages, each looked at twice by a hundred rules, and in the dark
async def test_every_page_is_clean(visit, pages):
    visitor = await visit("/")
    visitor.expected.append("status of 404")
    wrong = {}
    for name, path in pages.items():
        await visitor.goto(path)
        await visitor.page.wait_for_load_state("networkidle" if path == "/sql" else "load")
        await visitor.page.evaluate(AXE)  # by the debugger: the page's own policy lets no such script in
        for viewport in (DESKTOP, PHONE):
            for scheme, rules in (("light", RULES), ("dark", OF_COLOURS)):
                await visitor.appear(scheme, viewport)
                wrong[f"{name} {scheme} {viewport['width']}"] = await visitor.page.evaluate(VIOLATIONS, rules)
    wrong = {page: found for page, found in wrong.items() if found}
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
