"""The outermost ASGI layer: what holds for every response and every request, errors and unknown paths included.

Security headers; the Host check against DNS rebinding (the port is not compared); and for methods that change
something, a check that a browser sends them from our own pages. Nobody logs in on loopback, so there is no cookie for
another site to ride on; what another site could do is to make a visitor's browser post here. Browsers say where such a
request comes from (`Sec-Fetch-Site`, `Origin`) and a page cannot change that. Programs send neither and pass.

Answers of GET leave through `Delivery`, which tags and packs them.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import structlog

from perfect_gateway.delivery import STREAM, Delivery
from perfect_schemas.errors import Problem

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger("perfect_gateway")

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_DRAINED_BYTES = 64 * 1024 * 1024
POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
SECURITY_HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def host_name(host: str) -> str:
    """The name in a Host header without its port, in lower case: `[::1]:3000` → `[::1]`."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def foreign(method: str, headers: dict[bytes, bytes]) -> str | None:
    """Where a request that changes something came from, when a browser says that it was not one of our pages."""
    if method in SAFE_METHODS:
        return None
    site = headers.get(b"sec-fetch-site")
    if site is not None and site not in (b"same-origin", b"none"):
        return headers.get(b"origin", site).decode("latin-1")
    origin = headers.get(b"origin")
    if origin is not None:
        address = urlsplit(origin.decode("latin-1")).netloc.lower()
        if address != headers.get(b"host", b"").decode("latin-1").lower():
            return origin.decode("latin-1")
    return None


def secured(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """With the security headers that the response has not set by itself: a report has a policy of its own."""
    headers = list(headers)
    own = {name for name, _ in headers}
    return headers + [header for header in SECURITY_HEADERS if header[0] not in own]


class Outermost:
    """most_bytes: of a body. `requests` counts (method, status) of every response that began."""

    def __init__(self, app: "ASGIApp", *, names: Iterable[str] = LOOPBACK_NAMES, most_bytes: int) -> None:
        self.app = app
        self.names = frozenset(names)
        self.most_bytes = most_bytes
        self.requests: Counter[tuple[str, int]] = Counter()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]

        async def guarded(message: "Message") -> None:
            if message["type"] == "http.response.start":
                self.requests[method, message["status"]] += 1
                message["headers"] = secured(message.get("headers", ()))
            await send(message)

        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if host_name(host) not in self.names:
            await _refuse(guarded, 400, f"the Host {host!r} is not a name of this server; use 127.0.0.1")
            return
        origin = foreign(method, headers)
        if origin is not None:
            await _refuse(
                guarded, 403, f"a page of {origin} may not change anything here; open this server's own pages"
            )
            return
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self.most_bytes:
            await _drain(receive)
            await _refuse(
                guarded,
                413,
                f"a body of {int(length):,} bytes is larger than the {self.most_bytes:,} that this server takes; "
                "pass large values by reference (a file or object name)",
            )
            return
        if method != "GET":
            await self.app(scope, receive, guarded)
            return
        delivery = Delivery(guarded, headers)
        try:
            await self.app(scope, receive, delivery)
        except Exception:
            if not delivery.stalled:
                raise
            log.warning("a stream was cut off: its reader takes nothing", path=scope["path"])
        finally:
            stream: AsyncGenerator[bytes] | None = scope.get(STREAM)  # type: ignore[assignment]
            if stream is not None:
                await stream.aclose()


async def _drain(receive: "Receive") -> None:
    """Read a body that is too large, up to a bound: closing before it is sent would lose the answer on its way."""
    left = MOST_DRAINED_BYTES
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


async def _refuse(send: Any, status: int, detail: str) -> None:
    title = {400: "Bad request", 403: "Forbidden", 413: "Too large"}[status]
    body = msgspec.json.encode(Problem(status=status, title=title, detail=detail))
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})
