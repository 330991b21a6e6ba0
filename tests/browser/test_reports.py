"""Reports and comparisons in a browser: a saved report without any network, and the pages that lead to them."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser
from running import FLOWS
from site_client import Site
from visitor import DESKTOP, PHONE

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOOK = """() => ({
  badge: getComputedStyle(document.querySelector(".badge .dot")).borderRadius,
  body: getComputedStyle(document.body).backgroundColor,
  scripts: document.scripts.length,
})"""


pytestmark = pytest.mark.shared_system


@pytest.fixture(scope="module")
async def runs(shared_system) -> dict[str, str]:
    await shared_system.worker(FLOWS / "reported.py", name="reporter")
    async with Site.of(shared_system.system.url) as site:
        ended = [await site.finished((await site.trigger("Reported", reads=2))["id"]) for _ in range(3)]
        slow = await site.trigger("Reported", reads=3, load_ms=200, fails=True)
        wide = await site.trigger("Wide", count=300)
        for run in (slow, wide):
            await site.finished(run["id"])
        return {"usual": ended[-1]["id"], "slow": slow["id"], "wide": wide["id"]}


async def test_a_saved_report_needs_no_network(system, browser: Browser, runs, tmp_path: Path) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    files = {}
    async with Site.of(system.system.url) as site:
        for name, run in runs.items():
            files[name] = tmp_path / f"{name}.html"
            files[name].write_bytes((await site.http.get(f"/api/engine/runs/{run}/report")).content)
    grounds = set()
    for scheme, screen in (("light", DESKTOP), ("dark", PHONE)):
        context = await browser.new_context(viewport=screen, color_scheme=scheme, offline=True)
        page = await context.new_page()
        wrong: list[str] = []
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on(
            "request", lambda request: None if request.is_navigation_request() else wrong.append(request.url)
        )
        for name, file in files.items():
            await page.goto(file.as_uri())
            look = await page.evaluate(LOOK)
            assert (look["badge"], look["scripts"]) == ("50%", 0)  # its style sheet holds
            grounds.add(look["body"])
            assert await page.evaluate(TOO_WIDE) <= 0
            assert await page.locator(".gantt rect").count() > 1
            await page.screenshot(path=PICTURES / f"report-{name}-{scheme}.png", full_page=name != "wide")
        await page.goto(files["slow"].as_uri())
        assert await page.locator("pre", has_text="RuntimeError: broken <script>").count() == 1
        assert wrong == []
        printed = await page.pdf()
        assert len(re.findall(rb"/Type /Page\b", printed)) >= 1
        await context.close()
    assert len(grounds) == 2  # a light and a dark one


async def test_from_the_run_to_its_report_and_to_a_comparison(visit, runs) -> None:
    visitor = await visit(f"/runs/{runs['slow']}")
    await visitor.page.get_by_role("link", name="Report", exact=True).click()
    await visitor.page.wait_for_selector(".gantt")
    assert (await visitor.page.evaluate(LOOK))["badge"] == "50%"
    await visitor.page.go_back()
    await visitor.page.get_by_role("link", name="Compare with the previous run").click()
    heading = visitor.page.get_by_role("heading", level=1)
    await heading.filter(has_text="longer").wait_for()
    assert await visitor.page.locator(".diff-header b").first.text_content() == "load"
    assert await visitor.page.locator(f'a[href="/runs/{runs["usual"]}"]').count() == 1
    for scheme, screen in (("light", DESKTOP), ("dark", PHONE)):
        other = await visit(f"/runs/previous/diff/{runs['slow']}", scheme=scheme, viewport=screen)
        assert await other.page.evaluate(TOO_WIDE) <= 0
        await other.page.screenshot(path=PICTURES / f"diff-{scheme}.png", full_page=True)
