"""Live streams of the gateway's pages: nothing missed, nothing unbounded, over real sockets."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from typing import Any

import httpx
import msgspec
import pytest
from eventually import eventually
from said_runs import FLOW, FLOW_ID, Runs
from streamed import Sse, listen

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_gateway.live.board import RUN_S
from perfect_gateway.live.log_tail import MOST_LINES
from perfect_gateway.live.subscriber import MAX_BYTES
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_runtime.natsd import NatsServer
from perfect_schemas import commands, events, ids, subjects

ALL = "run:{0},tasks:{0},timeline:{0},logs:{0}"  # what the page of a run hears

LINE = re.compile(r'data-seq="(\d+)".*?line (\d+);', re.DOTALL)


@pytest.fixture
def runs(bus: Bus) -> Runs:
    return Runs(bus)


@pytest.fixture
async def pages(bus: Bus, start_service: Any, gateway: GatewayService) -> GatewayService:
    """The gateway with the services that its pages ask."""
    await start_service(RegistryService)
    await start_service(ProjectorService)
    task = events.TaskDefinition(id="", name="step", weight=2)
    await bus.ask(
        subjects.command("registry", "register"),
        commands.RegisterFlow(name=FLOW, flow_version="1", tasks=[task]),
    )
    await eventually(lambda: get(gateway, f"/api/engine/flows/{FLOW_ID}", ok=True))
    return gateway


async def get(gateway: GatewayService, path: str, *, ok: bool = False) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=60) as client:
        answer = await client.get(path)
        return answer if not ok else answer.status_code == 200


async def seq_of(gateway: GatewayService, path: str) -> str:
    """The position that a page says it was rendered at."""
    text = (await get(gateway, path)).text
    return text.partition('data-seq="')[2].partition('"')[0]


async def test_a_run_moves_on_its_page(pages: GatewayService, runs: Runs) -> None:
    run_id = await runs.start()
    await eventually(lambda: get(pages, f"/api/engine/runs/{run_id}", ok=True))
    seq = await seq_of(pages, f"/runs/{run_id}")
    await runs.task(run_id, 0)  # between the page and its stream
    async with listen(pages, f"/events?topics={ALL.format(run_id)}&after={seq}") as stream:
        await stream.until("step-0", f'id="run-{run_id}-header"', f'id="run-{run_id}-timeline"')
        await runs.task(run_id, 1, end=False)
        await runs.log(run_id, "a <b>line</b>")
        row = await stream.next(lambda message: ids.task_run_id(run_id, "step-1") in message.data)
        assert "running" in row.data
        line = await stream.next(lambda message: "data-append" in message.data)
        assert "a &lt;b&gt;line&lt;/b&gt;" in line.data
        await runs.complete(run_id)
        end = await stream.next(lambda message: "run-header tone-good" in message.data)
        drawn = [message.data for message in stream.seen if f'id="run-{run_id}-timeline"' in message.data]
        assert "data-live" not in drawn[-1]
        last = end.id
    async with listen(pages, f"/events?topics={ALL.format(run_id)}", last) as stream:
        with pytest.raises(TimeoutError):
            await stream.next(lambda _: True, timeout_s=0.5)  # nothing has changed since


async def test_overviews(pages: GatewayService, runs: Runs) -> None:
    seq = await seq_of(pages, "/")
    before = await runs.start()  # between the page and its stream
    async with (
        listen(pages, f"/events?topics=runs,flows&after={seq}") as home,
        listen(pages, f"/events?topics=flow:{FLOW_ID}") as flow,
    ):
        await home.next(lambda message: f"run-card-{before}" in message.data)
        run_id = await runs.start()
        card = await home.next(lambda message: f"run-card-{run_id}" in message.data)
        assert f"run-row-{run_id}" in card.data
        await flow.next(lambda message: f"run-row-{run_id}" in message.data)
        await home.next(lambda message: 'id="summary"' in message.data)
        await runs.complete(run_id)
        shown = await home.next(lambda message: f'id="flow-{FLOW_ID}"' in message.data)
        assert run_id in shown.data
        await flow.next(lambda message: f'id="flow-{FLOW_ID}-statistics"' in message.data)
    await eventually(lambda: not pages.hub.clients)
    assert pages.hub.board.runs == {}  # nothing is kept for nobody


async def test_a_new_flow_appears(pages: GatewayService, bus: Bus) -> None:
    async with listen(pages, "/events?topics=flows") as stream:
        await bus.ask(
            subjects.command("registry", "register"), commands.RegisterFlow(name="newer", flow_version="1")
        )
        await stream.next(lambda message: f'id="flow-{ids.flow_id("newer")}"' in message.data)


async def test_many_changes_are_drawn_a_few_times(pages: GatewayService, runs: Runs) -> None:
    run_id = await runs.start()
    async with listen(
        pages, f"/events?topics=run:{run_id},tasks:{run_id},timeline:{run_id}&after=0.0"
    ) as stream:
        await stream.next(lambda message: message.id)
        loop = asyncio.get_running_loop()
        started = loop.time()
        while loop.time() < started + 1.5:
            await runs.task(run_id, len(stream.seen) * 1000 + int((loop.time() - started) * 500))
        await runs.complete(run_id)
        await stream.next(lambda message: "completed</span>" in message.data and "header" in message.data)
        took = loop.time() - started
        headers = [message for message in stream.seen if f'id="run-{run_id}-header"' in message.data]
        timelines = [message for message in stream.seen if f'id="run-{run_id}-timeline"' in message.data]
        assert len(headers) <= took / RUN_S + 3
        assert len(timelines) <= took + 4


COUNT = 1900


async def test_every_log_line_arrives(pages: GatewayService, runs: Runs) -> None:
    """With a break in between, and a page that is told no line twice."""
    assert COUNT < MOST_LINES  # of more, between two drawings, a page is sent the newest
    run_id = await runs.start()
    topics = f"/events?topics=run:{run_id},logs:{run_id}"
    last: str | None = None

    async def speak() -> None:
        for n in range(0, COUNT, 10):
            await runs.log(run_id, *(f"line {n + i};" for i in range(10)))

    speaking = asyncio.create_task(speak())
    shown: dict[int, str] = {}
    async with asyncio.timeout(120):
        while len(shown) < COUNT:
            async with listen(pages, topics if last else topics + "&after=0.0", last) as stream:
                for _ in range(3):
                    message = await stream.next(lambda message: message.id)
                    last = message.id
                    for seq, line in LINE.findall(message.data):
                        shown[int(seq)] = line
                    if len(shown) == COUNT:
                        break
    await speaking
    assert [shown[seq] for seq in sorted(shown)] == [str(n) for n in range(COUNT)]


async def test_a_page_from_nowhere_reloads(pages: GatewayService, runs: Runs) -> None:
    await runs.start()
    for position in ("garbage", "999.0"):
        async with listen(pages, "/events?topics=runs", position) as stream:
            await stream.next(lambda message: message.event == "resync")


async def test_a_slow_page_reloads(pages: GatewayService, runs: Runs) -> None:
    run_id = await runs.start()
    async with listen(pages, f"/events?topics=logs:{run_id}&after=0.0", small=True) as stream:
        page = next(iter(pages.hub._pages))
        for n in range(1500):
            await runs.log(run_id, "x" * 9000)
            assert page._bytes <= MAX_BYTES
            if n % 100 == 0:
                await asyncio.sleep(
                    0.1
                )  # some drawings, each of less than what makes a page reload by itself
        await stream.next(lambda message: message.event == "resync")
        await runs.log(run_id, "after")
        await stream.next(lambda message: "after" in message.data)


async def test_it_follows_only_while_somebody_looks(
    gateway: GatewayService, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.hub.follower, "_linger_s", 0.05)
    assert not gateway.hub.follower.following
    async with listen(gateway, "/api/events"):
        assert gateway.hub.follower.following
        assert gateway.hub.clients == 1
    await eventually(lambda: not gateway.hub.follower.following)
    assert gateway.hub.clients == 0


@pytest.fixture
def process(nats_server: NatsServer, settings: Settings, bus: Bus) -> Any:
    from perfect_gateway.server import free_port

    port = free_port("127.0.0.1", 0)
    environment = {
        **os.environ,
        **msgspec.structs.replace(settings, port=port).environment(),
        "PERFECT_NATS_URL": nats_server.connection.url.replace(
            "://", f"://{nats_server.connection.user}:{nats_server.connection.password}@"
        ),
    }
    command = [sys.executable, "-m", "perfect_runtime", "service", "gateway"]
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    yield started, port
    started.kill()
    started.communicate()


async def test_it_ends_with_open_streams(process: Any) -> None:
    started, port = process
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def up() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await client.get("/schema")).status_code == 200
            return False

        await eventually(up)
        async with contextlib.AsyncExitStack() as stack:
            for path in ("/api/events", f"/events?topics=runs,flows,run:{ids.uuid7()}"):
                response = await stack.enter_async_context(client.stream("GET", path))
                await Sse(response).next(lambda message: message.event == "hello")
            started.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(started.wait, 60) == 0
