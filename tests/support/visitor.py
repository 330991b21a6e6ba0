"""A browser for tests, and a visitor that remembers all that went wrong on the pages it saw."""

import re
import shutil
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request

ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 30_000.0  # for what a page does; only a page that never does it takes so long
# What Chromium itself prints about answers and streams that a page handles.
CHROMIUM_SAYS = (
    r"Failed to load resource: the server responded with a status of 422",
    r"Transition was aborted because of invalid state",  # a page that was slow to appear does so without one
    r"net::ERR_(INCOMPLETE_CHUNKED_ENCODING|CONNECTION_REFUSED|CONNECTION_RESET|EMPTY_RESPONSE|NETWORK_CHANGED)",
)
REPORT_VIOLATIONS = """
  addEventListener("securitypolicyviolation", (event) =>
    window.reportViolation(`${event.effectiveDirective}: ${event.blockedURI} ${event.sourceFile || ""}`));
"""
# Two frames: in the first one, what observes the size of something hears of it. No colour is on its way to another one.
PAINTED = """async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  await frame();
  await frame();
  for (const one of document.getAnimations()) if (one instanceof CSSTransition) one.finish();
}"""


async def launch(playwright: Playwright) -> Browser:
    """Debian's Chromium: nothing is downloaded. Fails the test when there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("the browser tests need Chromium: apt-get install --no-install-recommends chromium")
    return await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))


class Visitor:
    """One tab. `page` is playwright's. navigations: how often a document was loaded into it.

    expected: patterns of what may be said. `check()` fails on a console error, an exception, a violation of the content security policy, or a request to any
    other host than the system's.
    """

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.navigations = 0
        self.requests = 0
        self.expected: list[str] = []
        self._host = urlsplit(url).netloc
        self._wrong: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._wrong.append(f"exception: {error}"))
        page.on("request", self._on_request)

    @classmethod
    async def come(
        cls,
        browser: Browser,
        url: str,
        *,
        viewport: Any = DESKTOP,
        scheme: Any = "light",
        script: bool = True,
    ) -> "Visitor":
        context = await browser.new_context(
            viewport=viewport,
            color_scheme=scheme,
            locale="en-GB",
            timezone_id="Europe/Rome",
            java_script_enabled=script,
        )
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        visitor = cls(context, page, url)
        await page.expose_function("reportViolation", lambda text: visitor._wrong.append(f"CSP: {text}"))
        await page.add_init_script(REPORT_VIOLATIONS)
        return visitor

    async def goto(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def appear(self, scheme: Any, viewport: Any) -> None:
        """The page as it stands in another theme and on another screen; it has been painted so when this returns."""
        await self.page.emulate_media(color_scheme=scheme)
        await self.page.set_viewport_size(viewport)
        await self.page.evaluate(PAINTED)

    async def live(self) -> None:
        """Until the page hears the stream."""
        await self.page.wait_for_selector('#link-state[data-state="live"]', state="attached")

    def check(self) -> None:
        known = [re.compile(pattern) for pattern in (*CHROMIUM_SAYS, *self.expected)]
        wrong = [text for text in self._wrong if not any(pattern.search(text) for pattern in known)]
        assert wrong == [], "\n".join(wrong)
        assert self.requests > 0

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._wrong.append(f"console {message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests += 1
        if urlsplit(request.url).netloc != self._host:
            self._wrong.append(f"request to another host: {request.url}")
        if request.is_navigation_request() and request.frame == self.page.main_frame:
            self.navigations += 1
