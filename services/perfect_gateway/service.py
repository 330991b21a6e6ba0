"""The gateway: HTTP and live streams for people and programs. It keeps nothing that a restart would miss."""

import asyncio
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar

import perfect_ui
from perfect_gateway import clients, glance, limits, system
from perfect_gateway.app import create_app
from perfect_gateway.ask import Asker
from perfect_gateway.facts import FlowBook
from perfect_gateway.listeners import Listeners
from perfect_gateway.live.hub import Hub
from perfect_gateway.live.wholes import Whole
from perfect_gateway.outermost import Outermost
from perfect_gateway.parts import Parts
from perfect_gateway.server import HttpServer
from perfect_runtime.importing import uncollected
from perfect_runtime.service import Context, Service

COMPILE_PAUSE_S = 0.01  # between two templates, for those who ask for something meanwhile


class GatewayService(Service):
    """`port`: where it listens, once started (another than in the settings when that is 0)."""

    name: ClassVar[str] = "gateway"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        asker = Asker(self.bus)
        flows = FlowBook(asker)
        self.hub = Hub(self.bus, asker, flows)
        self.listeners = Listeners(self.bus, self.settings)
        self._parts = Parts(
            bus=self.bus,
            asker=asker,
            flows=flows,
            hub=self.hub,
            listeners=self.listeners,
            clock=self.clock,
            own_health=self.health,
            requests=self._requests,
            settings=self.settings,
            version=_version(),
        )
        for whole in (
            Whole(
                "clients",
                0.5,
                frozenset({"run", "client", "process", "output", "host"}),
                partial(clients.drawn, asker),
            ),
            Whole("limits", 0.5, frozenset({"run", "limit"}), partial(limits.drawn, asker)),
            Whole("settings", 2.0, frozenset({"run", "log"}), partial(system.drawn, self.bus, self.settings)),
            Whole("home", 1.0, frozenset({"run", "schedule", "service"}), partial(glance.drawn, self._parts)),
        ):
            self.hub.wholes.add(whole)
        self._app: Outermost | None = None
        self._server: HttpServer | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises InvalidInput for an address that is not loopback, Conflicting when the port is taken."""
        await self.hub.lag.start(self.bus)
        await self.hub.wholes.start(self.bus)
        with uncollected():
            self._app = create_app(self._parts, host=self.settings.host)
        self._server = HttpServer(self._app, self.settings.host, self.settings.port)
        self._serving = self.context.spawn(self._serve(self._server), "http server")
        await self._server.listening()
        self.status = "ready"
        self.log.info("listening", url=f"http://{self._server.host}:{self._server.port}")
        self.context.spawn(_compile_templates(), "templates")

    async def stop(self) -> None:
        self.status = "stopping"
        await asyncio.gather(self.hub.close(), self.listeners.close())
        if self._server is not None:
            await self._server.stop(self._serving)

    @property
    def port(self) -> int:
        return self._server.port if self._server else self.settings.port

    def metrics(self) -> dict[str, float]:
        return {
            "streams": self.hub.clients,
            "listeners": len(self.listeners),
            "responses": sum(self._requests().values()),
        }

    def _requests(self) -> Mapping[tuple[str, int], int]:
        return self._app.requests if self._app else {}

    async def _serve(self, server: HttpServer) -> None:
        await server.serve()
        if self.status != "stopping":
            raise RuntimeError("the HTTP server ended by itself")


async def _compile_templates() -> None:
    for _ in perfect_ui.compiled():
        await asyncio.sleep(COMPILE_PAUSE_S)


def _version() -> str:
    try:
        return version("perfect-flow")
    except PackageNotFoundError:
        return ""
