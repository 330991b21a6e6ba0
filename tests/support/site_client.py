"""The HTTP side of a running system, as a program of somebody else's would use it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import msgspec

FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


class Message(NamedTuple):
    """A server-sent event. name: "message" for an event of the log, whose JSON is in `data`."""

    id: str
    name: str
    data: Any


class Site:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str) -> AsyncIterator["Site"]:
        async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
            yield cls(http)

    async def get(self, path: str, *, status: int = 200, **query: Any) -> Any:
        return self._checked(await self.http.get(path, params=query), status)

    async def post(self, path: str, body: Any = None, *, status: int = 202) -> Any:
        return self._checked(await self.http.post(path, json=body if body is not None else {}), status)

    async def pages(self, path: str, **query: Any) -> list[list[Any]]:
        """Every page, following the Link headers."""
        found: list[list[Any]] = []
        following: httpx.URL | str | None = path
        while following is not None:
            answer = await self.http.get(following, params=query if not found else None)
            found.append(self._checked(answer, 200))
            link = answer.links.get("next")
            following = link["url"] if link else None
        return found

    async def all(self, path: str, **query: Any) -> list[Any]:
        return [row for page in await self.pages(path, limit=1000, **query) for row in page]

    async def trigger(self, flow: str, *, status: int = 202, **parameters: Any) -> dict[str, Any]:
        return await self.post(f"/api/engine/trigger/{flow}", {"parameters": parameters}, status=status)

    async def run(self, run_id: str) -> dict[str, Any]:
        return await self.get(f"/api/engine/runs/{run_id}")

    @asynccontextmanager
    async def events(
        self, *, last_event_id: str | None = None, **query: Any
    ) -> AsyncIterator[AsyncIterator[Message]]:
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        async with self.http.stream("GET", "/api/events", params=query, headers=headers) as answer:
            assert answer.status_code == 200, await answer.aread()
            yield _messages(answer)

    async def finished(self, run_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The run once it is final, waited for on the event stream, which is read from its beginning."""
        async with (
            asyncio.timeout(timeout_s),
            self.events(run_id=run_id, after="0.0", logs="false") as messages,
        ):
            async for message in messages:
                if message.name == "message" and _ends(message.data):
                    break
        return await self.settled(run_id)

    async def settled(self, run_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The run once the read model knows its end."""
        async with asyncio.timeout(timeout_s):
            while (run := await self.run(run_id))["state"] not in FINAL:
                await asyncio.sleep(0.02)
        return run

    @staticmethod
    def _checked(answer: httpx.Response, status: int) -> Any:
        assert answer.status_code == status, (
            f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}"
        )
        return answer.json() if answer.content else None


def _ends(event: dict[str, Any]) -> bool:
    return event.get("type") in {f"run.{state.lower()}" for state in FINAL}


async def _messages(answer: httpx.Response) -> AsyncIterator[Message]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            name = fields.get("event", "message")
            data = msgspec.json.decode(fields["data"]) if name == "message" else fields["data"]
            yield Message(fields.get("id", ""), name, data)
        fields = {}
