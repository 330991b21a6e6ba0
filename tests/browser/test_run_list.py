"""The list of runs: what one filters, sorts and asks of many is in the URL, works without a script, and moves."""

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect
from running import FLOWS
from site_client import Site
from visitor import PHONE

pytestmark = pytest.mark.shared_system


def rows(page):
    return page.locator("#runs-body tr")


def asked(page) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


async def run_three(system) -> list[str]:
    await system.worker(FLOWS / "busy.py", name="second")
    async with Site.of(system.system.url) as site:
        runs = [
            await site.trigger("Division", dividend=1, divisor=0),
            await site.trigger("Division", dividend=1, divisor=1),
            await site.trigger("Squares", count=3),
        ]
        for run in runs:
            await site.finished(run["id"])
    return [run["id"] for run in runs]


@pytest.fixture(scope="module")
async def three(shared_system) -> list[str]:
    return await run_three(shared_system)


async def test_filters_are_in_the_address(visit, three):
    failed, _, squares = three
    visitor = await visit("/runs")
    page = visitor.page
    await expect(rows(page)).to_have_count(3)
    await page.locator("select[name=state]").select_option("problem")
    await page.wait_for_url("**/runs?state=problem")
    await expect(rows(page)).to_have_id(f"run-row-{failed}")
    await page.get_by_role("link", name="Clear").click()
    await page.get_by_text("More filters").click()
    await page.get_by_label("Worker").select_option("second")
    await page.wait_for_url("**/runs?worker=second")
    await expect(rows(page)).to_have_id(f"run-row-{squares}")
    await expect(page.get_by_label("Worker")).to_be_visible()
    await page.get_by_label("Text").fill("nothing at all")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No run matches")).to_be_visible()
    assert asked(page) == {"worker": "second", "text": "nothing at all"}


async def test_times_are_asked_in_ones_own_zone(visit, three):
    visitor = await visit("/runs?since=2020-01-01T10:00")
    page = visitor.page
    since = page.get_by_label(re.compile("^Since"))
    await expect(since).to_have_value("2020-01-01T11:00")  # in Rome
    await expect(rows(page)).to_have_count(3)
    later = datetime.now() + timedelta(days=2)
    await since.fill(f"{later:%Y-%m-%dT%H:%M}")
    await page.get_by_role("button", name="Filter").click()
    await expect(page.get_by_text("No run matches")).to_be_visible()
    sent = datetime.fromisoformat(asked(page)["since"])
    assert later - sent in (timedelta(hours=1, seconds=later.second, microseconds=later.microsecond),
                            timedelta(hours=2, seconds=later.second, microseconds=later.microsecond))  # fmt: skip


@pytest.mark.usefixtures("own_system")
async def test_without_a_script(visit, system):
    failed, done, squares = await run_three(system)
    visitor = await visit("/runs?until=2100-01-01T10:00", script=False)
    page = visitor.page
    await expect(page.get_by_label(re.compile("^Until, UTC"))).to_have_value("2100-01-01T10:00")
    await page.locator("select[name=state]").select_option("COMPLETED")
    await page.get_by_role("button", name="Filter").click()
    await expect(rows(page)).to_have_count(2)
    await page.get_by_role("link", name="Duration").click()
    assert asked(page)["sort"] == "duration"
    assert asked(page)["state"] == "COMPLETED"
    async with Site.of(system.system.url) as site:
        took = {run_id: (await site.run(run_id))["duration_ms"] for run_id in (done, squares)}
    longest = sorted(took, key=lambda run_id: (took[run_id], run_id), reverse=True)
    assert await rows(page).evaluate_all("rows => rows.map(row => row.id)") == [
        f"run-row-{run_id}" for run_id in longest
    ]
    await page.goto(visitor.url + "/runs?state=FAILED")
    await page.locator(".choose").check()
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_text("1 run was asked to run again.")).to_be_visible()
    assert asked(page) == {"state": "FAILED", "asked": "retry.1"}
    history = await system.until(failed, lambda h: h.run is not None and h.run.epoch == 2)
    assert history.run is not None


async def test_pages_follow_each_other(visit, three):
    visitor = await visit("/runs?limit=2")
    page = visitor.page
    await expect(rows(page)).to_have_count(2)
    before = await rows(page).evaluate_all("rows => rows.map(row => row.id)")
    await page.get_by_role("link", name="Older runs").click()
    await expect(rows(page)).to_have_count(1)
    assert await rows(page).first.get_attribute("id") not in before
    await page.get_by_role("link", name="Newest").click()
    await expect(page.get_by_role("link", name="Newest")).to_have_count(0)


@pytest.mark.usefixtures("own_system")
async def test_many_are_cancelled_at_once_and_rows_move(visit, system, gates):
    runs = [await system.trigger("Gated steps", folder=gates.folder, count=1) for _ in range(2)]
    ended = await system.trigger("Division", dividend=1, divisor=1)
    await system.until_final(ended)
    for run_id in runs:
        await system.until(run_id, lambda h: h.run is not None and h.run.state == "RUNNING")
    visitor = await visit("/runs")
    page = visitor.page
    await visitor.live()
    await expect(rows(page)).to_have_count(3)
    bar = page.get_by_role("group", name="What to do with the chosen runs")
    await expect(bar).not_to_be_visible()
    await page.locator(f"#run-row-{runs[0]} .choose").check()
    await expect(bar).to_contain_text("1 run chosen")

    # A row that comes, and one that is drawn anew, leave the choice as it is.
    await system.until_final(await system.trigger("Division", dividend=2, divisor=1))
    await expect(rows(page)).to_have_count(4)
    await expect(page.locator(f"#run-row-{runs[0]} .choose")).to_be_checked()

    await page.get_by_label("Choose all runs of this page").check()
    await expect(bar).to_contain_text("4 runs chosen")
    visitor.expected.append("status of 409")
    await bar.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("2 runs were asked to end.")).to_be_visible()
    await expect(page.get_by_role("alert")).to_contain_text("2 runs were refused.")
    for run_id in runs:
        await expect(page.locator(f"#run-row-{run_id} .badge")).to_have_text(re.compile("cancell"))


@pytest.mark.usefixtures("own_system")
async def test_nobody_else_may_ask(system):
    run_id = await system.trigger("Division", dividend=1, divisor=0)
    await system.until_final(run_id)
    async with Site.of(system.system.url) as site:
        form = {"action": "retry", "run": run_id}
        foreign = await site.http.post(
            "/runs/chosen", data=form, headers={"origin": "http://elsewhere.example"}
        )
        assert foreign.status_code == 403
        for wrong, field in (({"action": "retry"}, "run"), ({"action": "burn", "run": run_id}, "action"),
                             ({"action": "retry", "run": "../x"}, "run")):  # fmt: skip
            answer = await site.http.post("/runs/chosen", data=wrong)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_phone_reads_it(visit, three):
    visitor = await visit("/runs", viewport=PHONE)
    page = visitor.page
    await expect(rows(page)).to_have_count(3)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for n in range(3):
        for part in ("a .title", ".badge", "time"):
            await expect(rows(page).nth(n).locator(part).first).to_be_visible()
