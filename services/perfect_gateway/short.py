"""The short way of a trigger: an ASGI layer that answers it itself, past Litestar's routing.

Whoever triggers a run waits for its first line. On a system that was idle code runs ten times slower than in a loop, since
nothing of it is in the processor's caches any more: Litestar's part of a request takes 0.04 ms of a busy gateway and 0.4 ms of
an idle one, a tenth of all the time there is. What is not plainly a trigger, or cannot be read, goes to Litestar with the
body that was read; the route there (`api/runs.py`) is the same function, and what describes it.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_gateway import problems
from perfect_gateway.api.runs import TriggerBody, trigger_run, triggered_answer
from perfect_gateway.parts import Parts
from perfect_gateway.wire import JSON

if TYPE_CHECKING:
    from litestar.types import ASGIApp, Receive, Scope, Send

PREFIX = "/api/engine/trigger/"
MOST_BYTES = 64 * 1024
_decode = msgspec.json.Decoder(TriggerBody).decode


class Short:
    """app: takes every request but plain triggers."""

    def __init__(self, app: "ASGIApp", parts: Parts) -> None:
        self.app = app
        self.parts = parts

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        flow = flow_of(scope)
        if flow is None:
            await self.app(scope, receive, send)
            return
        message = await receive()
        wanted = _read(message, scope["headers"])
        if wanted is None:
            await self.app(scope, _again(message, receive), send)
            return
        try:
            triggered = await trigger_run(self.parts, flow, wanted)
        except Exception as error:
            problem, headers = problems.said(error, method="POST", path=scope["path"])
            await _send(send, problem.status, msgspec.json.encode(problem), problems.PROBLEM_JSON, headers)
        else:
            data, status, headers = triggered_answer(triggered, wanted)
            await _send(send, status, data, JSON, headers)


def flow_of(scope: "Scope") -> str | None:
    """The flow, or flow and deployment, that a plain request triggers; None for every other request."""
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(PREFIX):
        return None
    flow = scope["path"][len(PREFIX) :]
    parts = flow.split("/")
    return flow if len(parts) <= 2 and all(parts) else None


def _read(message: Any, headers: Iterable[tuple[bytes, bytes]]) -> TriggerBody | None:
    """What the body says; None when it is not all there, long, or cannot be read.

    The server says of every body that more may come; what its head announced is all.
    """
    if message["type"] != "http.request":
        return None
    data = message.get("body", b"")
    if len(data) > MOST_BYTES:
        return None
    if message.get("more_body", False) and (b"content-length", b"%d" % len(data)) not in headers:
        return None
    if not data:
        return TriggerBody()
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return None


def _again(first: Any, receive: "Receive") -> "Receive":
    """What was received, once more."""
    messages = [first]

    async def again() -> Any:
        return messages.pop() if messages else await receive()

    return again


async def _send(send: "Send", status: int, data: bytes, kind: str, headers: dict[str, str]) -> None:
    head = [(b"content-type", kind.encode()), (b"content-length", str(len(data)).encode())]
    head += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": data, "more_body": False})
