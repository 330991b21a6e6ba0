"""The flows library and the page of a flow: what is searched, drawn and filled in."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from eventually import eventually
from measured import RUNS, told
from playwright.async_api import expect
from running import FLOWS, Running
from site_client import Site
from visitor import DESKTOP, PHONE, Visitor

Visit = Callable[..., Awaitable[Visitor]]
PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
INK = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let inked = 0;
  for (let n = 3; n < data.length; n += 4) if (data[n]) inked += 1;
  return inked;
}"""


pytestmark = pytest.mark.shared_system


@pytest.fixture(scope="module")
async def measured(shared_system: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    return await told(shared_system, tmp_path_factory.mktemp("measured"))


async def known(site: Site, flow: str) -> bool:
    return any(one["name"] == flow for one in await site.get("/api/engine/flows"))


async def test_the_library_is_searched(system: Running, visit: Visit) -> None:
    await system.worker(FLOWS / "busy.py", name="w2")
    async with Site.of(system.system.url) as site:
        await eventually(lambda: known(site, "Squares"))
    visitor = await visit("/flows")
    page = visitor.page
    cards = page.locator(".flow-card")
    await expect(page.locator("header.side a[aria-current=page]")).to_have_text("Flows")
    everything = await cards.count()
    assert everything >= 4
    squares = cards.filter(has_text="Squares")
    await expect(squares.locator(".weights title")).to_have_text(["square 2", "total 1"])
    await page.get_by_role("searchbox", name="Text").fill("NUMBERS square")
    await page.get_by_role("button", name="Search").click()
    await expect(cards).to_have_count(1)
    await expect(page.locator(".page-head")).to_contain_text(f"1 of {everything} flows")
    await visitor.goto("/flows?text=nothing+is+called+so")
    await expect(page.get_by_role("heading", name="No flow matches")).to_be_visible()
    await page.get_by_role("link", name="Show all flows").click()
    await expect(cards).to_have_count(everything)


async def test_the_library_lives(system: Running, visit: Visit) -> None:
    visitor = await visit("/flows")
    await visitor.live()
    page = visitor.page
    async with Site.of(system.system.url) as site:
        flow = await site.post("/api/engine/register", {"name": "Newcomer"}, status=201)
        card = page.locator(f"#flow-{flow['id']}")
        await expect(card).to_contain_text("never")
        run = await site.trigger("Greeting", name="you")
        await site.finished(run["id"])
        await expect(page.locator(f"#flow-{run['flow_id']} .strip a")).to_have_count(1)
    assert visitor.navigations == 1


async def test_a_flow_is_drawn_with_its_outliers_and_goes_on_live(
    system: Running, visit: Visit, measured: str
) -> None:
    visitor = await visit(f"/flows/{measured}")
    page = visitor.page
    await visitor.live()
    runs = page.locator("#flow-chart-runs")
    count = 2 * len(RUNS) + 1
    await expect(runs.locator(".words")).to_contain_text(
        f"The last {count}: {count - 2} completed, 2 failed."
    )
    await expect(runs.locator(".words")).to_contain_text(re.compile(r"ms ± .+; [1-9] unusually slow"))
    assert await runs.locator("canvas").evaluate(INK) > 2000
    await expect(page.locator("#flow-chart-tasks .u-legend")).to_contain_text("load")
    await expect(page.locator("#flow-chart-outcomes .words")).to_contain_text(
        f"2 of {count} failed in 30 days: 8 %."
    )
    over = runs.locator(".u-over")
    box = await over.bounding_box()
    assert box is not None
    at_last = {"x": box["width"] - 4, "y": box["height"] / 2}
    await over.hover(position=at_last)
    await expect(runs.locator(".tip")).to_contain_text("σ slower than the mean")
    await expect(runs.locator(".tip")).to_contain_text("performance critical")
    async with Site.of(system.system.url) as site:
        await site.finished((await site.trigger("Measured", ms=20))["id"])
        await expect(runs.locator(".words")).to_contain_text(f"The last {count + 1}:")
        newest = (await site.get("/api/engine/runs", flow=measured, limit=1))[0]["id"]
    assert visitor.navigations == 1
    await over.click(position=at_last)
    await page.wait_for_url(f"**/runs/{newest}")


async def test_a_chart_that_cannot_be_had_says_so(system: Running, visit: Visit) -> None:
    visitor = await visit("/")
    visitor.expected.append("status of 503")
    async with Site.of(system.system.url) as site:
        flow = (await site.get("/api/engine/flows/Greeting"))["id"]
    await visitor.page.route("**/history", lambda route: route.fulfill(status=503))
    await visitor.goto(f"/flows/{flow}")
    await expect(visitor.page.locator("#flow-chart-runs .words")).to_contain_text("the server answered 503")


async def test_a_flow_that_never_ran_says_what_to_do(system: Running, visit: Visit) -> None:
    visitor = await visit("/")
    async with Site.of(system.system.url) as site:
        flow = (await site.get("/api/engine/flows/Gated steps"))["id"]
    await visitor.goto(f"/flows/{flow}")
    await expect(visitor.page.locator("#flow-chart-runs .words")).to_contain_text("Nothing has ended yet")
    await expect(visitor.page.locator("#flow-chart-runs canvas")).to_have_count(0)
    await expect(visitor.page.locator("main")).to_contain_text("Never run. Use the form, or:")


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.usefixtures("measured")
async def test_the_form_of_every_kind_of_parameter(system: Running, visit: Visit, script: bool) -> None:
    """Numbers, choices, lists and nested objects as JSON, a tick; what is wrong is said at its field and stays typed."""
    visitor = await visit("/flows/Measured", script=script)
    page = visitor.page
    form = page.locator("#trigger-form")
    await expect(form.get_by_label("names")).to_have_value('["a"]')
    await expect(form.get_by_label("mode")).to_have_value("full")
    await form.get_by_label("ms").fill("20")
    await form.get_by_label("mode").select_option("delta")
    await form.get_by_label("names").fill('["x", ')
    await form.get_by_label("place").fill('{"city": "Rome", "floor": 2}')
    await form.get_by_role("checkbox", name="dry").check()
    await form.get_by_role("radio", name="debug").check(force=True)
    await form.get_by_role("button", name="Run").click()
    wrong = form.locator(".field.invalid")
    await expect(wrong).to_contain_text("This is not valid JSON")
    await expect(wrong).to_have_count(1)
    await expect(form.get_by_label("place")).to_have_value('{"city": "Rome", "floor": 2}')
    await form.get_by_label("names").fill('["x", 5]')
    await form.get_by_role("button", name="Run").click()
    await expect(wrong).to_contain_text("1")  # the second name is no text
    await form.get_by_label("names").fill('["x", "y"]')
    await form.get_by_role("button", name="Run").click()
    await page.wait_for_url("**/runs/*")
    async with Site.of(system.system.url) as site:
        run = await site.finished(page.url.rpartition("/")[2])
    assert run["parameters"] == {
        "ms": 20,
        "mode": "delta",
        "names": ["x", "y"],
        "place": {"city": "Rome", "floor": 2},
        "dry": True,
    }
    assert run["configuration"] == "debug"


async def test_pictures(visit: Visit, measured: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for scheme, screen, viewport in (
        ("light", "desktop", DESKTOP), ("dark", "desktop", DESKTOP), ("light", "phone", PHONE), ("dark", "phone", PHONE)
    ):  # fmt: skip
        visitor = await visit("/flows", scheme=scheme, viewport=viewport)
        page = visitor.page
        for name, path in (("flows", "/flows"), ("flow-history", f"/flows/{measured}")):
            await visitor.goto(path)
            if name == "flow-history":
                await expect(page.locator("figure[data-state=drawn]")).to_have_count(3)
            assert await page.evaluate(TOO_WIDE) == 0, f"{name} on a {screen} is too wide"
            await page.screenshot(
                path=PICTURES / f"{name}-{screen}-{scheme}.png", animations="disabled", full_page=True
            )
