"""The page of a run: its tabs, the timeline, the events, the graph, and the run as it was."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import expect
from running import FLOWS
from site_client import Site

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
TABS = ("overview", "timeline", "graph", "tasks", "logs", "events", "artifacts", "parameters")
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
async def ended(system) -> str:
    """A run of three steps, one of them `last`, that has completed."""
    run_id = await system.trigger("Greeting", name="Ada", times=2)
    await system.until_final(run_id)
    return run_id


@pytest.fixture
async def many(system) -> str:
    """A run of 701 task runs."""
    await system.worker(FLOWS / "busy.py", name="busy")
    for count in (3, 3, 700):
        run_id = await system.trigger("Squares", count=count)
        await system.until_final(run_id)
    async with Site.of(system.system.url) as site:
        await site.finished(run_id)
    return run_id


async def canvas_colours(visitor) -> int:
    """How many different colours the timeline shows."""
    return await visitor.page.evaluate(
        """() => {
          const canvas = document.querySelector("#gantt canvas");
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const found = new Set();
          for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) found.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
          return found.size;
        }"""
    )


async def test_every_tab_is_a_page_of_its_own(visit, ended):
    visitor = await visit(f"/runs/{ended}", script=False)
    page = visitor.page
    for tab in TABS:
        await page.get_by_label("Parts of this run").get_by_role("link", name=tab).click()
        await expect(page.locator(".tabs a[aria-current]")).to_have_text(tab.capitalize())
        await expect(page.locator("h1")).to_have_text("Greeting")
    await expect(page.locator("pre.value")).to_have_text(['"Ada"', "2"])
    await page.get_by_role("link", name="Events", exact=True).click()
    summaries = page.locator(".events summary b")
    assert (await summaries.all_text_contents())[0] == "run.scheduled"
    await page.locator(".events summary").first.click()
    await expect(page.locator(".events pre").first).to_contain_text('"flow_name": "Greeting"')


async def test_events_of_one_type(visit, ended):
    visitor = await visit(f"/runs/{ended}?tab=events")
    page = visitor.page
    await page.get_by_label("Type").select_option("run.completed")
    await page.wait_for_url(re.compile(r"kind=run\.completed"))
    await expect(page.locator(".events summary b")).to_have_text(["run.completed"])


async def test_a_timeline_of_many_task_runs(visit, many):
    visitor = await visit(f"/runs/{many}?tab=timeline")
    page = visitor.page
    gantt = page.locator("#gantt")
    await expect(page.locator("#gantt-count")).to_have_text("701 task runs")
    await expect(gantt).to_have_attribute("data-rows", "2")
    await page.wait_for_function("() => document.querySelector('#gantt canvas').width > 300")
    assert await canvas_colours(visitor) > 3
    await page.screenshot(path=PICTURES / "run-timeline-grouped.png", animations="disabled")

    await page.locator("#gantt-rows").select_option("every task run")
    await expect(gantt).to_have_attribute("data-rows", "701")
    await page.get_by_role("button", name="Zoom in").click()
    await expect(gantt).to_have_attribute("data-range", re.compile(r"^\d+-\d+$"))
    box = await page.locator(".gantt-scroller").bounding_box()
    await page.mouse.move(box["x"] + 300, box["y"] + 60)
    await expect(page.locator(".gantt-tip")).to_contain_text("square")
    await expect(page.locator(".gantt-tip")).to_contain_text("usually")
    await page.screenshot(path=PICTURES / "run-timeline-each.png", animations="disabled")
    await page.mouse.click(box["x"] + 300, box["y"] + 60)
    await page.wait_for_url(re.compile(r"tab=tasks&task=square-\d+"))
    await expect(page.locator("#task-rows tr.sought")).to_have_count(1)


async def test_task_rows_beyond_a_page_are_a_window(visit, many):
    visitor = await visit(f"/runs/{many}?tab=tasks&task=square-650")
    page = visitor.page
    await expect(page.locator("#task-count")).to_have_text("701 task runs")
    await expect(page.locator('tr.sought[data-key="square-650"]')).to_be_visible()
    assert await page.locator("#task-rows tr").count() < 100
    await page.get_by_label("Filter by task key").fill("square-69")
    await expect(page.locator("#task-count")).to_have_text("11 of 701 task runs")
    await expect(page.locator("#task-rows .spread").first).to_be_visible()
    await page.screenshot(path=PICTURES / "run-tasks-many.png", animations="disabled")


async def test_a_timeline_moves_with_its_run(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=2)
    visitor = await visit(f"/runs/{run_id}?tab=timeline")
    page = visitor.page
    await visitor.live()
    gantt = page.locator("#gantt")
    await expect(gantt).to_have_attribute("data-rows", "1")
    await gates.open(0)
    await expect(gantt).to_have_attribute("data-rows", "2")
    await gates.open(1)
    await expect(page.locator(".run-header .badge")).to_have_text("completed")
    await expect(gantt).to_have_attribute("data-rows", "3")
    await page.locator("#gantt-table summary").click()
    await expect(page.locator("#gantt-rows-table tbody .badge")).to_have_text(["completed"] * 3)
    assert visitor.navigations == 1


async def test_the_graph_shows_the_order(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=2)
    visitor = await visit(f"/runs/{run_id}?tab=graph")
    page = visitor.page
    await visitor.live()
    await expect(page.locator(".graph .box")).to_have_count(1)
    await gates.open(0)
    await gates.open(1)
    await expect(page.locator(".graph .box")).to_have_count(3)
    await expect(page.locator(".graph .link")).to_have_count(2)
    await page.screenshot(path=PICTURES / "run-graph.png", animations="disabled")
    await page.locator(".graph .box", has_text="last").click()
    await expect(page.locator("#run-tasks tr.sought")).to_contain_text("last")


async def test_the_graph_shows_where_inputs_came_from(visit, system):
    await system.worker(FLOWS / "joined.py", name="joined")
    await system.worker(FLOWS / "joined.py", name="gpu", queue="gpu")
    few, many = await system.trigger("Joined"), await system.trigger("Alone", count=60)
    async with Site.of(system.system.url) as site:
        await site.finished(few)
        await site.finished(many)
    visitor = await visit(f"/runs/{few}?tab=graph")
    page = visitor.page
    await expect(page.locator(".graph .box")).to_have_count(10)
    await expect(page.locator(".graph .link.input")).to_have_count(14)
    await expect(page.locator(".graph .link.calls")).to_have_count(1)
    await expect(page.locator(".graph .link.then")).to_have_count(1)
    await expect(page.locator(".graph-legend li")).to_have_text(
        ["inputs came from", "then, without inputs from there", "called in its body"]
    )
    drawing = page.get_by_role("region", name="The drawing, which scrolls")
    await expect(drawing.get_by_role("link", name="report: ")).to_have_attribute(
        "href", re.compile("report-0")
    )
    said = "; inputs from clean, clean #2, score, note"
    await expect(page.locator(".graph title", has_text="report: ")).to_contain_text(said)
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        await page.screenshot(path=PICTURES / f"run-graph-inputs-{theme}.png", animations="disabled")
    await page.emulate_media(color_scheme=None)

    visitor = await visit(f"/runs/{many}?tab=graph")
    page = visitor.page
    await expect(page.locator(".graph .box")).to_have_count(3)
    await expect(page.locator(".graph .link.input")).to_have_count(3)
    await expect(page.locator(".graph .count")).to_have_text(["×60", "×60"])
    said = "; inputs from itself, load ×60"
    await expect(page.locator(".graph title", has_text="clean: ")).to_contain_text(said)
    await page.screenshot(path=PICTURES / "run-graph-inputs-grouped.png", animations="disabled")


async def test_the_run_as_it_was(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=2)
    await gates.open(0)
    await gates.open(1)
    await system.until_final(run_id)
    async with Site.of(system.system.url) as site:
        await site.finished(run_id)
        moments = await site.get(f"/api/engine/runs/{run_id}/moments")
    visitor = await visit(f"/runs/{run_id}")
    page = visitor.page
    await page.get_by_role("link", name="Time machine").click()
    await expect(page.locator(".run-header .badge")).to_have_text("scheduled")
    slider = page.locator("#moment-slider")
    kinds = [moments["kinds"][kind] for kind in moments["kind"]]
    assert await slider.get_attribute("max") == str(len(kinds) - 1)

    first_step = kinds.index("task.completed")
    await slider.fill(str(first_step))
    await page.wait_for_url(f"**/runs/{run_id}?at={sum(moments['step'][: first_step + 1])}")
    await expect(page.locator(".run-header .badge")).to_have_text("running")
    await expect(page.locator("#run-tasks .badge")).to_have_text(["completed"])
    await expect(page.locator("#moment-said")).to_contain_text("task.completed")
    await page.screenshot(path=PICTURES / "run-moment.png", animations="disabled")
    await page.get_by_role("link", name="Next event").click()
    await expect(page.locator("#run-tasks .badge")).to_have_text(["completed", "running"])
    shared = page.url
    other = await visit(shared.removeprefix(system.system.url))
    await expect(other.page.locator("#run-tasks .badge")).to_have_text(["completed", "running"])
    await page.get_by_role("link", name="Back to now").click()
    await expect(page.locator(".run-header .badge")).to_have_text("completed")


async def test_a_slider_that_is_moved_before_the_moments_are_there(visit, system, ended):
    visitor = await visit(f"/runs/{ended}")
    page = visitor.page
    await page.get_by_role("link", name="Time machine").click()
    slider = page.locator("#moment-slider")
    await expect(slider).to_be_visible()
    moved = asyncio.Event()

    async def hold(route):
        await moved.wait()
        await route.continue_()

    await page.route("**/moments", hold)
    await page.reload(wait_until="domcontentloaded")
    await slider.fill("2")
    moved.set()
    await page.wait_for_url("**?at=*")
    await expect(page.locator("#moment-said")).to_contain_text("Event 3 of")
    assert await slider.input_value() == "2"


async def test_the_tabs_fit_a_phone(visit, ended):
    for scheme in ("light", "dark"):
        visitor = await visit("/", scheme=scheme, viewport={"width": 390, "height": 844})
        wide = {}
        for tab in TABS:
            await visitor.goto(f"/runs/{ended}?tab={tab}")
            wide[tab] = await visitor.page.evaluate(TOO_WIDE)
            await visitor.page.screenshot(
                path=PICTURES / f"run-tab-{tab}-phone-{scheme}.png", animations="disabled"
            )
        assert {tab: pixels for tab, pixels in wide.items() if pixels > 0} == {}
