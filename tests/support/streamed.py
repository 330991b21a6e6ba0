"""Open streams of a gateway, over real sockets."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec

from perfect_gateway.service import GatewayService


class Message(msgspec.Struct):
    event: str = ""
    id: str = ""
    data: str = ""


class Sse:
    """One open stream; `await stream.next(...)` waits for a message that fits."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.seen: list[Message] = []

    async def message(self) -> Message:
        found = Message()
        data: list[str] = []
        async for line in self._lines:
            if not line:
                found.data = "\n".join(data)
                self.seen.append(found)
                return found
            name, _, value = line.partition(": ")
            if name == "data":
                data.append(value)
            elif name in ("id", "event"):
                setattr(found, name, value)
        raise EOFError

    async def next(self, fits: Callable[[Message], Any], timeout_s: float = 60) -> Message:
        async with asyncio.timeout(timeout_s):
            while True:
                message = await self.message()
                if fits(message):
                    return message

    async def until(self, *texts: str) -> None:
        """Each of them stands in some message, in whatever order they come."""
        while not all(any(text in message.data for message in self.seen) for text in texts):
            await self.next(lambda _: True)

    async def said(self, count: int) -> list[dict[str, Any]]:
        """The next `count` events of `/api/events`."""
        return [
            msgspec.json.decode((await self.next(lambda message: not message.event)).data)
            for _ in range(count)
        ]


@contextlib.asynccontextmanager
async def listen(
    gateway: GatewayService, path: str, last: str | None = None, *, small: bool = False
) -> AsyncIterator[Sse]:
    """small: with a receive buffer of few bytes, so that not reading is felt at once."""
    headers = {"last-event-id": last} if last else {}
    options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)] if small else []
    async with (
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.port}",
            timeout=60,
            transport=httpx.AsyncHTTPTransport(socket_options=options),
        ) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "default-src 'self'" in response.headers["content-security-policy"]
        stream = Sse(response)
        await stream.next(lambda message: message.event == "hello")
        yield stream
