"""The SQL page as a person uses it: run, read, draw, save, download, get it wrong."""

from pathlib import Path

import pytest
from site_client import Site

PICTURES = Path(__file__).parents[2] / "artifacts" / "screenshots"
QUERY = "SELECT flow || ' ' || row_number() OVER () AS run, duration_ms, start_time::DATE AS day, run_id FROM v_runs"


pytestmark = pytest.mark.shared_system


@pytest.fixture(scope="module")
async def ran(shared_system) -> None:
    async with Site.of(shared_system.system.url) as site:
        for n in range(2):
            run = await site.trigger("Greeting", name=f"n{n}")
            await site.finished(run["id"])


async def write(page, text: str) -> None:
    await page.fill("#sql-query", text)


async def test_a_query_from_writing_it_to_keeping_it(ran, visit, tmp_path: Path) -> None:
    visitor = await visit("/sql")
    page = visitor.page
    assert await page.get_by_role("link", name="SQL", exact=True).get_attribute("aria-current") == "page"
    await write(page, "SELECT ")
    await page.locator("summary", has_text="v_runs").click()
    await page.click("[data-sql='v_runs']")
    assert await page.input_value("#sql-query") == "SELECT v_runs"
    await write(page, QUERY)
    await page.locator("#sql-query").press("Control+Enter")
    result = page.locator("#sql-result")
    await result.locator("tbody tr").nth(1).wait_for()
    assert "2 rows" in await result.inner_text()
    assert await page.input_value("#sql-query") == QUERY
    assert await result.locator("th.right").count() == 1
    assert await result.locator("svg[role=img]").count() == 1
    assert (await result.locator("td a").first.get_attribute("href")).startswith("/runs/")
    PICTURES.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=str(PICTURES / "sql-result.png"), full_page=True)

    for kind, start in (
        ("CSV", b"run,duration_ms"),
        ("JSON", b'{"columns"'),
        ("NDJSON", b'{"run"'),
        ("Parquet", b"PAR1"),
    ):
        async with page.expect_download() as begun:
            await result.get_by_role("button", name=kind, exact=True).click()
        download = await begun.value
        file = tmp_path / download.suggested_filename
        await download.save_as(file)
        assert file.suffix == f".{kind.lower()}"
        assert file.read_bytes().startswith(start), kind

    await page.fill("#sql-name", "my <own> query")
    await page.get_by_role("button", name="Save").click()
    await page.wait_for_url("**/sql?saved=*")
    assert await page.input_value("#sql-query") == QUERY
    again = await visit("/sql")
    await again.page.get_by_role("link", name="my <own> query").click()
    await again.page.wait_for_url("**/sql?saved=*")
    assert await again.page.input_value("#sql-query") == QUERY
    await again.page.get_by_role("button", name="Remove my <own> query").click()
    await again.page.get_by_text("None yet").wait_for()


async def test_every_example_runs(ran, visit) -> None:
    visitor = await visit("/sql")
    page = visitor.page
    count = await page.locator("[aria-labelledby=examples-title] li").count()
    assert count >= 6
    for n in range(1, count + 1):
        await page.goto(f"{visitor.url}/sql?example={n}")
        await page.click("#sql-run")
        await page.locator("section#sql-result").wait_for()


async def test_wrong_sql_is_explained_and_stays(visit) -> None:
    visitor = await visit("/sql")
    visitor.expected.append("the server responded with a status of 400")
    await write(visitor.page, "SELEC 1")
    await visitor.page.click("#sql-run")
    alert = visitor.page.get_by_role("alert")
    await alert.wait_for()
    assert "syntax error" in await alert.inner_text()
    assert await visitor.page.input_value("#sql-query") == "SELEC 1"


async def test_it_works_without_script(ran, visit) -> None:
    visitor = await visit("/sql", script=False)
    await write(visitor.page, "FROM v_runs SELECT flow")
    await visitor.page.click("#sql-run")
    assert await visitor.page.locator("#sql-result tbody tr").count() == 2
