"""The logs of a run: searched on the server, followed live, paused, linked and taken away as a file."""

import re
from itertools import count
from pathlib import Path

import pytest
from eventually import eventually
from playwright.async_api import expect
from running import FLOWS
from site_client import Site

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
LINES = 1700  # more than one page of them
NUMBERS = count(1)


pytestmark = pytest.mark.shared_system


@pytest.fixture(scope="module")
async def talkative(shared_system) -> str:
    """A run that wrote `line 0` to `line 1699`."""
    await shared_system.worker(FLOWS / "busy.py", name="busy")
    async with Site.of(shared_system.system.url) as site:
        run = await site.trigger("Talkative", lines=LINES)
        await site.finished(run["id"])

        async def are_read() -> bool:
            return len(await site.all(f"/api/engine/runs/{run['id']}/logs")) == LINES

        await eventually(are_read)
    return run["id"]


@pytest.fixture
async def paper(system) -> str:
    """A run without a worker, to whose log programs write."""
    async with Site.of(system.system.url) as site:
        flow = await site.post("/api/engine/register", {"name": f"Paper {next(NUMBERS)}"}, status=201)
        return (await site.trigger(flow["id"]))["id"]


async def write(system, run_id: str, *lines, level: int = 20) -> None:
    async with Site.of(system.system.url) as site:
        await site.post(f"/api/engine/runs/{run_id}/logs", {"logs": list(lines), "level": level})


def messages(page):
    return page.locator("#run-logs .message")


async def test_pages_of_lines_without_script(visit, talkative):
    visitor = await visit(f"/runs/{talkative}?tab=logs", script=False)
    page = visitor.page
    await expect(messages(page)).to_have_count(500)
    await expect(messages(page).last).to_have_text("line 1699")
    await page.get_by_role("link", name="Earlier lines").click()
    await expect(messages(page).last).to_have_text("line 1199")
    await page.get_by_role("link", name="Later lines").click()
    await expect(messages(page).first).to_have_text("line 1200")
    await page.get_by_role("link", name="Earlier lines").click()
    await page.get_by_role("link", name="The first lines").click()
    await expect(messages(page).first).to_have_text("line 0")
    assert (
        await page.get_by_role("link", name="Earlier lines").count() == 0
        or not await page.locator("#logs-before").is_visible()
    )
    await page.get_by_role("link", name="The newest lines").click()
    await expect(messages(page).last).to_have_text("line 1699")


async def test_all_lines_are_searched(visit, talkative):
    visitor = await visit(f"/runs/{talkative}?tab=logs")
    page = visitor.page
    await page.get_by_label("Text").fill("LINE 7")
    await page.get_by_role("button", name="Search").click()
    await page.wait_for_url(re.compile(r"tab=logs&q=LINE\+7$"))
    await expect(messages(page)).to_have_count(111)  # 7, 70-79, 700-799
    await expect(messages(page).first).to_have_text("line 7")
    await expect(messages(page).first.locator("mark")).to_have_text("line 7")
    await expect(page.get_by_text("lines that match, of 1\u202f700")).to_be_visible()
    await page.screenshot(path=PICTURES / "run-logs-searched.png", animations="disabled")
    await page.get_by_label("Level").select_option("WARNING")
    await page.wait_for_url(re.compile("level=WARNING"))
    await expect(page.get_by_text("No line matches")).to_be_visible()
    await page.get_by_role("link", name="Show all lines").click()
    await expect(messages(page)).to_have_count(500)


async def test_a_line_has_a_link(visit, talkative):
    visitor = await visit(f"/runs/{talkative}?tab=logs&q=line+40")
    page = visitor.page
    line = page.locator("#run-logs > div", has_text=re.compile(r"line 40$"))
    number = await line.get_attribute("data-seq")
    await line.locator("a.at").click()
    await page.wait_for_url(re.compile(f"line={number}#line-{number}$"))
    target = page.locator(f"#line-{number}")
    await expect(target).to_be_in_viewport()
    await expect(target.locator(".message")).to_have_text("line 40")
    assert await page.evaluate("document.querySelector('#run-logs > :target')?.dataset.seq") == number
    await expect(messages(page).first).to_have_text("line 0")


async def test_lines_of_a_task(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=2)
    for n in range(2):
        await gates.open(n, f"sign {n}")
    await system.until_final(run_id)
    async with Site.of(system.system.url) as site:
        await site.settled(run_id)
    visitor = await visit(f"/runs/{run_id}?tab=logs")
    page = visitor.page
    await expect(messages(page)).to_have_count(2)
    key = await page.locator("#run-logs > div", has_text="sign 1").locator("a.from").text_content()
    assert key is not None
    await page.locator("#run-logs > div", has_text="sign 1").locator("a.from").click()
    await expect(page.get_by_label("Task", exact=True)).to_have_value(key)
    await expect(messages(page)).to_have_text(["step 1: sign 1"])
    await page.get_by_label("Task", exact=True).fill(key.rpartition("-")[0])
    await page.get_by_role("button", name="Search").click()
    await expect(messages(page)).to_have_count(2)
    await page.goto(f"{visitor.url}/runs/{run_id}?tab=logs&task={key}")
    await page.get_by_role("link", name="Show it among the tasks").click()
    await expect(page.locator(f'tr[data-key="{key}"]')).to_have_class(re.compile("sought"))


async def test_live_lines_obey_the_filter_and_wait_while_paused(visit, system, paper):
    await write(system, paper, "the disk is filling", "nothing of note")
    visitor = await visit(f"/runs/{paper}?tab=logs&q=disk")
    page = visitor.page
    await visitor.live()
    await write(system, paper, "quiet", "\x1b[31mDi\x1b[0msk <b>full</b>", "quiet again")
    await expect(messages(page)).to_have_text(["the disk is filling", "Disk <b>full</b>"])
    await expect(messages(page).last.locator("mark")).to_have_text(["Di", "sk"])
    await expect(messages(page).last.locator(".ansi-fg-1")).to_have_text("Di")

    await page.get_by_role("button", name="Pause").click()
    await write(system, paper, "disk 1", "no", "disk 2")
    await expect(page.locator("#log-held")).to_have_text("2 new lines")
    await expect(messages(page)).to_have_count(2)
    await page.get_by_role("button", name="Resume").click()
    await expect(messages(page)).to_have_count(4)
    await expect(page.locator("#log-held")).to_have_text("")
    await page.reload()
    await expect(messages(page)).to_have_count(4)
    assert visitor.navigations == 2


async def test_a_flood_of_lines_leaves_a_bounded_page(visit, system, paper):
    visitor = await visit(f"/runs/{paper}?tab=logs")
    page = visitor.page
    await visitor.live()
    await page.evaluate(
        """() => { window.most = 0; new MutationObserver(() => {
          window.most = Math.max(window.most, document.getElementById("run-logs").children.length);
        }).observe(document.getElementById("run-logs"), {childList: true}); }"""
    )
    lines, batch = 20_000, 5_000
    for start in range(0, lines, batch):
        await write(system, paper, *(f"line {n}" for n in range(start, start + batch)))
    await expect(messages(page).last).to_have_text(f"line {lines - 1}")
    assert await messages(page).count() <= 2000
    assert await page.evaluate("window.most") <= 2000 + 500
    shown = await messages(page).all_text_contents()
    assert shown == [f"line {n}" for n in range(lines - len(shown), lines)], "no gap in what is shown"
    await page.get_by_role("link", name="Earlier lines").click()
    await expect(messages(page).last).to_have_text(f"line {lines - len(shown) - 1}")


async def test_lines_as_files(visit, system, talkative):
    visitor = await visit(f"/runs/{talkative}?tab=logs&q=line+169")
    page = visitor.page
    async with page.expect_download() as taken:
        await page.get_by_role("link", name="text", exact=True).click()
    download = await taken.value
    assert download.suggested_filename == f"run-{talkative[-8:]}-filtered.log"
    lines = Path(await download.path()).read_text().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == [
        "line 169",
        *(f"line {n}" for n in range(1690, 1700)),
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO     \S+: line 169", lines[0])
    async with Site.of(system.system.url) as site:
        whole = await site.http.get(
            f"/api/engine/runs/{talkative}/logs/download", params={"format": "ndjson"}
        )
        assert whole.headers["content-disposition"] == f'attachment; filename="run-{talkative[-8:]}.ndjson"'
        assert len(whole.text.splitlines()) == LINES
        await site.get("/api/engine/runs/0198c0de-0000-7000-8000-000000000000/logs/download", status=404)
