"""A whole system with a worker, and a browser that looks at it.

Every test of this folder, and every async fixture that it or its file has, runs on the loop of its file, so that a
file's tests share one browser and, with `pytestmark = pytest.mark.shared_system`, one system. Share it where tests look
or make runs of their own. A test that counts what there is, or stops a part, says `usefixtures("own_system")`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from every_page import every_page
from playwright.async_api import Browser, async_playwright, expect
from running import FLOWS, Running, running
from visitor import PATIENCE_MS, Visitor, launch

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS

HERE = Path(__file__).parent
TEST_S = 180.0  # of a test that names no time of its own: a machine under load takes ten times as long
LEASE_S = 10.0  # no worker counts as lost because the machine is slow

expect.set_options(timeout=PATIENCE_MS)
on_the_files_loop = pytest_asyncio.fixture(loop_scope="module")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shared_system: the test is content with the system of its file")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE:
            if item.get_closest_marker("asyncio"):
                item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: Any, request: pytest.FixtureRequest) -> Any:
    """A fixture on a loop of its own could neither use the browser nor the system."""
    if fixturedef.baseid.startswith("tests/browser"):
        on_the_files_loop(fixturedef.func)
    return (yield)


class Gates:
    """Named pipes at which the tasks of `Gated steps` wait."""

    def __init__(self, folder: Path, count: int = 8) -> None:
        self.folder = str(folder)
        folder.mkdir()
        for n in range(count):
            os.mkfifo(folder / f"gate-{n}")

    async def open(self, n: int, text: str = "go") -> None:
        """Let step `n` go on; waits until it stands at its gate."""
        await asyncio.wait_for(asyncio.to_thread(Path(self.folder, f"gate-{n}").write_text, text), 30)


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    return Gates(tmp_path / "gates")


@pytest.fixture(scope="module")
def without_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder, and nothing of this machine's in the environment: what each test has, for what a file's tests share."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("PERFECT_") and name != "PERFECT_NATS_SERVER":
                patch.delenv(name)
        patch.setenv("XDG_STATE_HOME", str(folder / "xdg-state"))
        yield folder


@pytest.fixture(scope="module")
async def shared_system(without_surroundings: Path) -> AsyncIterator[Running]:
    settings = Settings(
        data_dir=without_surroundings / "data", lease_s=LEASE_S, cancel_grace_s=1.0, purge_after_s=0
    )
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "gated.py")
        yield system


@pytest.fixture
async def own_system(settings: Settings) -> AsyncIterator[Running]:
    async with running(msgspec.structs.replace(settings, lease_s=LEASE_S), groups=GROUPS) as system:
        await system.worker(FLOWS / "gated.py")
        yield system


@pytest.fixture
def system(request: pytest.FixtureRequest) -> Running:
    """That of the test's file if it is marked so and does not ask for its own one; else an empty one."""
    marked = request.node.get_closest_marker("shared_system")
    shared = marked is not None and "own_system" not in request.fixturenames
    return request.getfixturevalue("shared_system" if shared else "own_system")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        yield browser
        await browser.close()


@pytest.fixture
async def visit(browser: Browser, system: Running) -> AsyncIterator[Callable[..., Awaitable[Visitor]]]:
    """`visitor = await visit("/runs")`: a new tab on that page. All of them are checked at the end of the test."""
    visitors: list[Visitor] = []

    async def come(path: str = "/", **options: Any) -> Visitor:
        visitor = await Visitor.come(browser, system.system.url, **options)
        visitors.append(visitor)
        await visitor.goto(path)
        return visitor

    yield come
    for visitor in visitors:
        await visitor.context.close()
    for visitor in visitors:
        visitor.check()


@pytest.fixture(scope="module")
async def pages(shared_system: Running, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name → path of every page, with something on it. Of the file's system: a test that looks at them is marked."""
    return await every_page(shared_system, Gates(tmp_path_factory.mktemp("pages") / "gates"))
