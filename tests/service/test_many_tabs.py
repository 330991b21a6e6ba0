"""Many open tabs on one gateway: each change is drawn once and reaches all; who does not read is cut off, and is alone in it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from eventually import eventually
from said_runs import FLOW, Runs

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_gateway import delivery
from perfect_gateway.live import board as boards
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_schemas import commands, events, subjects

TABS = 100


class Tab:
    """One open stream that keeps what it hears."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard = b""

    @classmethod
    async def open(cls, port: int, path: str, last: str = "", *, small: bool = False) -> "Tab":
        """small: with a receive buffer of few bytes, so that not reading is felt at once."""
        made = socket.socket()
        if small:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=made, limit=64 * 1024)
        header = f"last-event-id: {last}\r\n" if last else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n{header}\r\n".encode()
        )
        tab = cls(reader, writer)
        await tab.until(b"event: hello")
        return tab

    async def until(self, text: bytes, timeout_s: float = 90) -> None:
        async with asyncio.timeout(timeout_s):
            while text not in self.heard:
                data = await self._reader.read(65536)
                if not data:
                    raise EOFError
                self.heard += data

    @property
    def last_id(self) -> str:
        return self.heard.rpartition(b"\nid: ")[2].partition(b"\n")[0].decode()

    async def aclose(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


@pytest.fixture
async def pages(bus: Bus, start_service: Any, settings: Settings) -> GatewayService:
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    await start_service(RegistryService)
    await start_service(ProjectorService)
    task = events.TaskDefinition(id="", name="step", weight=2)
    await bus.ask(
        subjects.command("registry", "register"),
        commands.RegisterFlow(name=FLOW, flow_version="1", tasks=[task]),
    )
    return gateway


@pytest.fixture
async def tabs(pages: GatewayService) -> AsyncIterator[list[Tab]]:
    async with contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(TABS):
            opened.append(await Tab.open(pages.port, "/events?topics=runs"))
            stack.push_async_callback(opened[-1].aclose)
        yield opened


async def test_a_change_is_drawn_once_for_all(
    pages: GatewayService, tabs: list[Tab], bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    draw = boards.fragments.run_row

    def counted(shape: dict[str, Any]) -> str:
        drawn.append(shape["id"])
        return draw(shape)

    monkeypatch.setattr(boards.fragments, "run_row", counted)
    assert pages.hub.clients == TABS
    made = [await Runs(bus).schedule() for _ in range(20)]
    for run_id in made:
        await asyncio.gather(*(tab.until(f"run-row-{run_id}".encode()) for tab in tabs))
    assert sorted(drawn) == sorted(made)
    assert pages.hub.clients == TABS


async def test_a_tab_that_comes_back_has_missed_nothing(
    pages: GatewayService, tabs: list[Tab], bus: Bus
) -> None:
    runs = Runs(bus)
    first = await runs.schedule()
    await tabs[0].until(f"run-row-{first}".encode())
    await tabs[0].aclose()
    missed = [await runs.schedule() for _ in range(3)]
    again = await Tab.open(pages.port, "/events?topics=runs", tabs[0].last_id)
    for run_id in missed:
        await again.until(f"run-row-{run_id}".encode())
    await again.aclose()


@pytest.mark.parametrize("kind", ["page", "program"])
async def test_a_reader_that_does_not_read_is_cut_off_alone(
    pages: GatewayService, tabs: list[Tab], bus: Bus, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(delivery, "STALL_S", 0.5)
    runs = Runs(bus)
    run_id = await runs.start()
    path = f"/events?topics=logs:{run_id}" if kind == "page" else f"/api/events?run_id={run_id}"
    async with contextlib.aclosing(await Tab.open(pages.port, path, small=True)) as deaf:
        assert pages.hub.clients == TABS + 1
        said = 0
        while pages.hub.clients > TABS:
            await runs.log(run_id, *("x" * 9000 for _ in range(20)))
            said += 1
        assert said > 1
        after = await runs.schedule()
        await asyncio.gather(*(tab.until(f"run-row-{after}".encode()) for tab in tabs))
        assert pages.hub.clients == TABS
        with pytest.raises((EOFError, ConnectionError)):
            await deaf.until(b"never said")
        await eventually(lambda: (pages.hub.board.audience.has(f"logs:{run_id}")) is False)
