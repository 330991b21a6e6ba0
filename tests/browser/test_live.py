"""What a person sees: pages that move by themselves, and tell the truth."""

import asyncio
import os
import re
import signal

import pytest
from playwright.async_api import expect

GROWN = "before => Number(document.querySelector('.run-header .progress').dataset.progress) > before"
RUN_URL = re.compile(r"/runs/[0-9a-f-]{36}$")

pytestmark = pytest.mark.shared_system


async def value(visitor) -> float:
    return float(await visitor.page.locator(".run-header .progress").get_attribute("data-progress"))


def meter(visitor):
    return visitor.page.locator(".run-header .meter .big")


def state(visitor):
    return visitor.page.locator(".run-header .badge")


def rows(visitor, of="COMPLETED"):
    return visitor.page.locator(f'#run-tasks tr[data-state="{of}"]')


@pytest.mark.usefixtures("own_system")
async def test_home_shows_the_library_and_what_runs(visit, system, gates):
    visitor = await visit("/")
    page = visitor.page
    await visitor.live()
    await expect(page.locator("#flow-library .title")).to_have_text(["Division", "Gated steps", "Greeting"])
    await expect(page.get_by_text("Nothing is running.")).to_be_visible()

    run_id = await system.trigger("Gated steps", folder=gates.folder, count=1)
    card = page.locator(f"#run-card-{run_id}")
    await expect(card.locator(".badge")).to_have_text("running")
    await expect(page.locator("#summary")).to_contain_text("running")
    await gates.open(0)
    await expect(card.locator(".badge")).to_have_text("completed")
    await expect(
        page.locator("#flow-library .flow-card", has_text="Gated steps").locator(".strip rect.tone-good")
    ).to_have_count(1)
    assert visitor.navigations == 1
    await card.locator("a.title").click()
    await page.wait_for_url(RUN_URL)
    await expect(state(visitor)).to_have_text("completed")


@pytest.mark.usefixtures("own_system")
async def test_a_run_moves_without_a_reload(visit, system, gates):
    before = await system.trigger("Gated steps", folder=gates.folder, count=3)
    for n in range(3):
        await gates.open(n)
    await system.until_final(before)  # from now on it is known how many steps there will be
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=3)
    visitor = await visit(f"/runs/{run_id}")
    page = visitor.page
    await visitor.live()
    await expect(state(visitor)).to_have_text("running")
    await expect(rows(visitor, "RUNNING")).to_have_count(1)
    seen = [await value(visitor)]
    for n in range(3):
        await gates.open(n, f"sign {n}")
        await expect(page.locator("#run-logs .message").nth(n)).to_have_text(f"step {n}: sign {n}")
        await expect(rows(visitor)).to_have_count(n + 1 if n < 2 else 4)
        await page.wait_for_function(GROWN, arg=seen[-1])
        seen.append(await value(visitor))
    await expect(state(visitor)).to_have_text("completed")
    await expect(meter(visitor)).to_have_text("100%")
    await expect(page).to_have_title("Gated steps · completed · Perfect")
    await expect(page.locator(".timeline .bar.tone-good")).to_have_count(4)
    await expect(page.locator(".result pre")).to_have_text("the total is 3")
    assert seen[0] == 0
    assert seen == sorted(set(seen)), "it grows with each step"
    assert seen[-1] == 100
    assert visitor.navigations == 1

    await page.reload()
    await expect(meter(visitor)).to_have_text("100%")
    await expect(rows(visitor)).to_have_count(4)
    await expect(page.locator("#run-logs .message")).to_have_text([f"step {n}: sign {n}" for n in range(3)])


async def test_a_flow_is_run_from_its_form(visit, system):
    visitor = await visit("/")
    page = visitor.page
    await page.get_by_role("link", name="Greeting", exact=True).click()
    await expect(page.get_by_text("Greets somebody a number of times.")).to_be_visible()
    name = page.get_by_label("name")
    times = page.get_by_label("times")

    # The page itself checks nothing here: what is wrong is said by the engine, at the field.
    await page.locator("#trigger-form").evaluate("form => form.noValidate = true")
    await name.fill("Ada")
    await times.fill("2.5")
    await page.get_by_role("radio", name="debug").check()
    await page.get_by_label("Tags").fill("greeting, first")
    await page.get_by_role("button", name="Run").click()
    wrong = page.locator("#p-times-error")
    await expect(wrong).to_contain_text("whole number")
    await expect(times).to_have_attribute("aria-invalid", "true")
    await expect(name).to_have_value("Ada")
    await expect(page.get_by_role("radio", name="debug")).to_be_checked()

    await times.fill("3")
    await page.get_by_label("loud").check()
    await page.get_by_label("style").select_option("formal")
    await page.get_by_role("button", name="Run").click()
    await page.wait_for_url(RUN_URL)
    await expect(state(visitor)).to_have_text("completed")
    facts = page.locator(".run-header")
    await expect(facts).to_contain_text("debug")
    await expect(facts.locator(".tag")).to_have_text(["greeting", "first"])
    await expect(facts.locator(".parameters dd")).to_have_text(['"Ada"', "3", "true", '"formal"'])
    await expect(page.locator("#run-logs .message")).to_have_text("Dear Ada Dear Ada Dear Ada")


async def test_a_flow_without_its_required_parameter(visit):
    visitor = await visit("/")
    page = visitor.page
    await page.locator(".flow-card", has_text="Greeting").get_by_role("link", name="Run…").click()
    await page.locator("#trigger-form").evaluate("form => form.noValidate = true")
    await page.get_by_role("button", name="Run").click()
    await expect(page.locator("#p-name-error")).to_be_visible()


async def test_run_again_begins_with_the_same_parameters(visit, system):
    run_id = await system.trigger("Greeting", name="Grace", times=2)
    await system.until_final(run_id)
    visitor = await visit(f"/runs/{run_id}")
    page = visitor.page
    await page.get_by_role("link", name="Run again").click()
    await expect(page.get_by_label("name")).to_have_value("Grace")
    await expect(page.get_by_label("times")).to_have_value("2")
    await page.get_by_role("button", name="Run").click()
    await page.wait_for_url(RUN_URL)
    assert not page.url.endswith(run_id)
    await expect(page.locator("#run-logs .message")).to_have_text("Hello Grace Hello Grace")


async def test_one_click_and_a_failure_with_its_traceback(visit):
    visitor = await visit("/")
    page = visitor.page
    await page.get_by_role("button", name="Run Division with its defaults").click()
    await page.wait_for_url(RUN_URL)
    await expect(state(visitor)).to_have_text("failed")
    error = page.locator(".callout.error")
    await expect(error).to_contain_text("ZeroDivisionError")
    await expect(error.locator("pre")).to_contain_text("return dividend / divisor")
    row = rows(visitor, "FAILED")
    await expect(row).to_have_count(1)
    await expect(row.locator(".try")).to_have_text("2")
    await expect(page.locator('#run-logs [data-level="WARNING"] .message').first).to_have_text(
        "dividing by 0.0"
    )
    await page.goto(f"{visitor.url}/runs?state=problem")
    await expect(page.locator("#runs-body tr .badge")).to_have_text("failed")
    await expect(page.locator("#runs-body")).to_contain_text("float division by zero")


async def test_cancel(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=1)
    visitor = await visit(f"/runs/{run_id}")
    await visitor.live()
    await expect(state(visitor)).to_have_text("running")
    await visitor.page.get_by_role("button", name="Cancel").click()
    await expect(state(visitor)).to_have_text("cancelled", timeout=15_000)
    await expect(visitor.page.get_by_role("button", name="Cancel")).to_have_count(0)


@pytest.mark.usefixtures("own_system")
async def test_a_gateway_that_dies_comes_back_with_the_truth(visit, system, gates):
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=3)
    visitor = await visit(f"/runs/{run_id}")
    page = visitor.page
    await visitor.live()
    await gates.open(0)
    await expect(rows(visitor)).to_have_count(1)
    [kept] = [task for task in system.system._keepers if task.get_name() == "keep gateway"]
    kept.cancel()  # nobody starts it again, for a while
    os.kill(system.pid_of("gateway"), signal.SIGKILL)
    await expect(page.locator("#banner")).to_contain_text("Connection lost")
    await gates.open(1, "while nobody looked")
    await system.until(
        run_id, lambda history: sum(task.state == "COMPLETED" for task in history.tasks.values()) == 2
    )
    await expect(rows(visitor)).to_have_count(1)
    gateway = next(child for child in system.system.children if "gateway" in child.names)
    gateway.spawn()
    system.system._keepers.append(asyncio.create_task(gateway.keep()))
    await expect(page.locator("#banner")).to_be_hidden(timeout=20_000)
    await expect(rows(visitor)).to_have_count(2)
    await expect(page.locator("#run-logs .message")).to_have_text(
        ["step 0: go", "step 1: while nobody looked"]
    )
    await gates.open(2)
    await expect(state(visitor)).to_have_text("completed")
    await expect(meter(visitor)).to_have_text("100%")
    assert visitor.navigations == 1


@pytest.mark.usefixtures("own_system")
async def test_a_new_run_comes_into_the_list(visit, system):
    visitor = await visit("/runs")
    page = visitor.page
    await visitor.live()
    await expect(page.get_by_text("No runs yet")).to_be_visible()
    run_id = await system.trigger("Greeting", name="Ada")
    row = page.locator(f"#run-row-{run_id}")
    await expect(row.locator(".badge")).to_have_text("completed")
    filtered = await visit("/runs?text=nobody")
    await filtered.live()
    await system.trigger("Greeting", name="Grace")
    await expect(filtered.page.locator("#new-runs")).to_contain_text("1 new run since")
    await expect(page.locator("#runs-body tr")).to_have_count(2)
    assert visitor.navigations == 1


@pytest.mark.usefixtures("own_system")
async def test_a_run_says_when_it_will_be_done(visit, system, gates):
    """Within what the runs before it took, and live: what was about to be done takes longer than they did."""
    for _ in range(3):
        before = await system.trigger("Gated steps", folder=gates.folder, count=2)
        for n in range(2):
            await gates.open(n)
        history = await system.until_final(before)
    visitor = await visit(f"/flows/{history.run.flow_id}")
    await expect(visitor.page.locator(".flow-statistics")).to_contain_text("median, 95 %, 99 %")
    run_id = await system.trigger("Gated steps", folder=gates.folder, count=2)
    await visitor.goto(f"/runs/{run_id}")
    await visitor.live()
    outlook = visitor.page.locator(".run-header .eta")
    await expect(outlook).to_have_text(
        re.compile(r"^(done in about .+, 90 %: within .+|takes longer than each of the last 3 runs)$")
    )
    await expect(outlook).to_have_text("takes longer than each of the last 3 runs")
    await gates.open(0)
    await gates.open(1)
    await expect(state(visitor)).to_have_text("completed")
    await expect(outlook).to_have_count(0)
    visitor.check()
