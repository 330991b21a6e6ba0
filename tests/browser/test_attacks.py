"""What runs say is text wherever it is shown: in names, log lines, parameters, artifacts, errors, results, live or not."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from running import FLOWS, Running

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
FLOW = "<img src=x onerror='window.taken = 1'> flow"
IMAGE = "<img src=x onerror='window.taken = 1'>"

pytestmark = pytest.mark.shared_system


async def test_no_script_of_a_run_ever_runs(visit: Any, system: Running) -> None:
    await system.worker(FLOWS / "hostile.py", name="w2")
    watching = await visit("/runs")
    await watching.live()
    run_id = await system.trigger(FLOW, text=f"</script>{IMAGE}")
    history = await system.until_final(run_id)
    failed = await system.trigger(FLOW, fail=True)
    await system.until_final(failed)
    assert history.run is not None
    await expect(watching.page.locator(f"#run-row-{failed} .badge")).to_have_text("failed")
    await expect(watching.page.locator(f"#run-row-{run_id}")).to_contain_text(FLOW)
    visitor = await visit("/")
    page = visitor.page
    report = f"/api/engine/runs/{run_id}/report"
    flow = f"/flows/{history.run.flow_id}"
    for path in ("/", "/runs", flow, f"/runs/{run_id}", f"/runs/{failed}", "/statistics", report):
        await visitor.goto(path)
        await expect(page.locator("body")).to_contain_text("<img src=x")
        taken = await page.evaluate("() => [window.taken, document.querySelectorAll('img[src=x]').length]")
        assert (path, taken) == (path, [None, 0])
        links = await page.evaluate(
            "() => [...document.links].filter((a) => /^javascript:/i.test(a.href)).length"
        )
        assert (path, links) == (path, 0)
    await visitor.goto(f"/runs/{run_id}")
    await page.screenshot(path=PICTURES / "hostile-run.png")
    assert await watching.page.evaluate("() => window.taken") is None


async def test_the_api_is_described_without_anything_from_elsewhere(visit: Any) -> None:
    visitor = await visit("/api/docs")
    page = visitor.page
    await expect(page.get_by_role("heading", name="HTTP API")).to_be_visible()
    await page.locator("#trigger_api_engine_trigger_flow_id > summary").click()
    operation = page.locator("#trigger_api_engine_trigger_flow_id")
    await expect(operation).to_contain_text("curl -X POST")
    await expect(operation).to_contain_text("idempotency_key")
    PICTURES.mkdir(parents=True, exist_ok=True)
    await operation.scroll_into_view_if_needed()
    await page.screenshot(path=PICTURES / "api-docs.png")
    too_wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert await page.evaluate(too_wide) <= 0
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate(too_wide) <= 0
