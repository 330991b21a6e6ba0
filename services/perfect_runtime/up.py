"""A whole system: nats-server and the services as child processes, each started again when it dies.

`perfect up`, `perfect demo` and the tests all use `System`; it prints nothing by itself.
"""

import asyncio
import contextlib
import ipaddress
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_runtime.errors import CannotStart
from perfect_runtime.forked import ForkedServices
from perfect_runtime.keeper import Keeper, describe, next_pause
from perfect_runtime.lock import DataDirLock
from perfect_runtime.natsd import NatsServer, is_free, last_lines, make_private
from perfect_runtime.streams import ensure_streams
from perfect_schemas import subjects
from perfect_schemas.commands import Health
from perfect_schemas.errors import InvalidInput, PerfectError, ServiceUnavailable

GROUPS: tuple[tuple[str, ...], ...] = (("gateway",), ("projector",), ("registry", "engine", "launcher"))
"""What imports most begins first."""
STOP_S = 3.0
READY_S = 30.0
DEATHS_BEFORE_READY = 3


class System:
    """`await start()`, `await wait_ready()`, `await stop()`, or `async with System(settings)`, which does all three.

    groups: which services share a process. notice: hears of what dies and comes back. show_logs: the services write
    to this process's own stderr instead of `logs/` in the data folder. origin: where each setting came from.
    forked: processes of groups that wait to begin, from `forked.fork_services`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        groups: Sequence[Sequence[str]] = GROUPS,
        notice: Callable[[str], None] = lambda _: None,
        show_logs: bool = False,
        origin: Mapping[str, str] | None = None,
        forked: Mapping[tuple[str, ...], ForkedServices] | None = None,
    ) -> None:
        self.settings = msgspec.structs.replace(
            settings, data_dir=settings.data_dir.absolute(), workflows_dir=settings.workflows_dir.absolute()
        )
        origin = origin if origin is not None else _said(settings)
        self.nats: NatsServer | None = None if settings.nats_url else NatsServer(self.settings)
        self.children = [
            Keeper(
                names,
                self.settings,
                notice=self._lost,
                show_logs=show_logs,
                origin=origin,
                forked=(forked or {}).get(tuple(names)),
            )
            for names in groups
        ]
        self.url = f"http://{_in_url(settings.host)}:{settings.port}"
        self._lock: DataDirLock | None = None
        self._notice = notice
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []
        self._bus: Bus | None = None
        self._saying: asyncio.Task[None] | None = None
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """How to reach the bus; also in `connection.json`."""
        if self._connection is None:
            raise RuntimeError("the system was not started")
        return self._connection

    @property
    def services(self) -> list[str]:
        return [name for one in self.children for name in one.names]

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self.wait_ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start every process, without waiting for the services. Raises CannotStart, InvalidInput."""
        check_host(self.settings.host)
        if "gateway" in self.services and not is_free(self.settings.host, self.settings.port):
            raise CannotStart(
                f"port {self.settings.port} of {self.settings.host} is in use. "
                "Choose another with --port, or stop what uses it."
            )
        await self._start_nats()
        for one in self.children:
            one.spawn()
            self._keepers.append(asyncio.create_task(one.keep(), name=f"keep {one.label}"))
        self._bus = await Bus.connect(self.connection, name="perfect up")
        await ensure_streams(self._bus, self.settings)

    async def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Until every service says that it is ready. Raises CannotStart when one does not come up."""
        deadline = time.monotonic() + timeout_s
        await asyncio.gather(
            *(self._wait_ready(one, name, deadline) for one in self.children for name in one.names)
        )

    async def health(self, service: str, timeout_s: float = 0.2) -> Health | None:
        """What the service says of itself, or None when it does not answer."""
        if self._bus is None:
            return None
        try:
            reply = await self._bus.ask(subjects.health(service), {}, timeout_s=timeout_s, try_s=timeout_s)
        except (PerfectError, ServiceUnavailable):
            return None
        return msgspec.json.decode(reply.value, type=Health)

    async def stop(self) -> None:
        """End everything within 5 s: SIGTERM, SIGKILL to what is left after 3 s, nats-server last. May be repeated."""
        self._stopping = True
        await asyncio.gather(*(one.end(STOP_S) for one in self.children))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers.clear()
        if self._bus is not None:
            with contextlib.suppress(Exception):
                await self._bus.close(0.2)
            self._bus = None
        if self.nats is not None:
            await asyncio.to_thread(self.nats.stop)
        if self._connection is not None:
            self.settings.connection_file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _lost(self, text: str) -> None:
        """A process of services ended. What is killed cannot say itself that it is gone."""
        self._notice(text)
        if self._bus is not None and not self._stopping:
            self._saying = asyncio.create_task(self._say_health(self._bus))

    async def _say_health(self, bus: Bus) -> None:
        with contextlib.suppress(Exception):  # the bus is away: whoever comes back to it asks anew
            await bus.nc.publish(subjects.live_services(), b"")

    async def _start_nats(self) -> None:
        if self.nats is not None:
            await self.nats.start_async()
            connection = self.nats.connection
            self._keepers.append(asyncio.create_task(self._keep_nats(self.nats), name="keep nats-server"))
        else:
            make_private(self.settings.data_dir)
            make_private(self.settings.data_dir / "logs")
            self._lock = DataDirLock(self.settings.data_dir)
            self._lock.acquire()
            connection = Connection.of_url(self.settings.nats_url or "")
        gateway = self.url if "gateway" in self.services else None
        self._connection = msgspec.structs.replace(connection, gateway=gateway)
        self._connection.save(self.settings.connection_file)

    async def _keep_nats(self, nats: NatsServer) -> None:
        pause = 0.0
        while not self._stopping:
            began = time.monotonic()
            code = await nats.exited()
            if self._stopping:
                return
            lived = time.monotonic() - began
            self._notice(f"nats-server ended ({describe(code)}); it is started again")
            pause = next_pause(pause, lived)
            await asyncio.sleep(pause)
            if self._stopping:
                return
            try:
                await nats.start_async()
            except CannotStart as error:
                self._notice(error.detail)

    async def _wait_ready(self, one: Keeper, name: str, deadline: float) -> None:
        while True:
            health = await self.health(name)
            if health is not None and health.status in ("ready", "degraded"):
                if health.detail:
                    self._notice(health.detail)
                return
            if one.deaths >= DEATHS_BEFORE_READY or one.last_code == 2 or time.monotonic() > deadline:
                how = describe(one.last_code) if one.last_code is not None else "it did not become ready"
                raise CannotStart(
                    f"the {name} service does not come up ({how}). "
                    + (f"Its log is {one.log_path}:\n{last_lines(one.log_path, 8)}" if one.log_path else "")
                )
            await asyncio.sleep(0.02)


def check_host(host: str) -> None:
    """Raises InvalidInput for an address that other machines can reach."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidInput(
            f"the web interface has no login yet, so it listens on this machine only: {host!r} is not a loopback "
            "address. Use 127.0.0.1, and an SSH tunnel to reach it from elsewhere."
        )


def _said(settings: Settings) -> dict[str, str]:
    """Where settings came from when nobody says more than their values."""
    usual = Settings()
    return {
        name: "default" if getattr(settings, name) == getattr(usual, name) else "the program"
        for name in settings.__struct_fields__
    }


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
