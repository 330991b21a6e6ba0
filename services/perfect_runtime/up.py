"""A whole system: nats-server and the services as child processes, each started again when it dies.

`perfect up`, `perfect demo` and the tests all use `System`; it prints nothing by itself.
"""

import asyncio
import contextlib
import ipaddress
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_runtime import child
from perfect_runtime.errors import CannotStart
from perfect_runtime.lock import DataDirLock
from perfect_runtime.natsd import NatsServer, is_free, last_lines, make_private
from perfect_runtime.streams import ensure_streams
from perfect_schemas import subjects
from perfect_schemas.commands import Health
from perfect_schemas.errors import InvalidInput, PerfectError, ServiceUnavailable

GROUPS: tuple[tuple[str, ...], ...] = (("projector",), ("gateway",), ("registry", "engine"))
STOP_S = 3.0
READY_S = 30.0
FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0
STABLE_S = 10.0
DEATHS_BEFORE_READY = 3
LOG_BYTES = 16 * 1024 * 1024


class Child:
    """One process of services, kept alive. `pid` is None while it is down."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.label = "+".join(names)
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0
        self.last_code: int | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.poll() is None else None


class System:
    """`await start()`, `await wait_ready()`, `await stop()`, or `async with System(settings)`, which does all three.

    groups: which services share a process. notice: hears of what dies and comes back. show_logs: the services write
    to this process's own stderr instead of `logs/` in the data folder.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        groups: Sequence[Sequence[str]] = GROUPS,
        notice: Callable[[str], None] = lambda _: None,
        show_logs: bool = False,
    ) -> None:
        self.settings = msgspec.structs.replace(
            settings, data_dir=settings.data_dir.absolute(), workflows_dir=settings.workflows_dir.absolute()
        )
        self.nats: NatsServer | None = None if settings.nats_url else NatsServer(self.settings)
        self.children = [Child(names) for names in groups]
        self.url = f"http://{_in_url(settings.host)}:{settings.port}"
        self._lock: DataDirLock | None = None
        self._notice = notice
        self._show_logs = show_logs
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []
        self._bus: Bus | None = None
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
            self._spawn(one)
            self._keepers.append(asyncio.create_task(self._keep(one), name=f"keep {one.label}"))
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
        await asyncio.gather(
            *(
                asyncio.to_thread(child.end, one.process, STOP_S)
                for one in self.children
                if one.process is not None
            )
        )
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

    def _spawn(self, one: Child) -> None:
        command = [sys.executable, "-m", "perfect_runtime", "service", *one.names]
        environment = {**os.environ, **self.settings.environment()}
        if self._show_logs:
            one.process = child.spawn(command, env=environment)
            return
        file = log_file(self.settings.data_dir, one.label)
        with file.open("ab") as output:
            one.process = child.spawn(command, env=environment, output=output)

    async def _keep(self, one: Child) -> None:
        pause = 0.0
        while not self._stopping:
            began = time.monotonic()
            assert one.process is not None
            code = await child.exited(one.process)
            if self._stopping:
                return
            one.deaths += 1
            one.last_code = code
            lived = time.monotonic() - began
            pause = FIRST_PAUSE_S if lived > STABLE_S or not pause else min(pause * 2, LAST_PAUSE_S)
            self._notice(f"{one.label} ended ({describe(code)}); it is started again")
            await asyncio.sleep(pause)
            if not self._stopping:
                self._spawn(one)

    async def _keep_nats(self, nats: NatsServer) -> None:
        pause = 0.0
        while not self._stopping:
            began = time.monotonic()
            code = await nats.exited()
            if self._stopping:
                return
            lived = time.monotonic() - began
            self._notice(f"nats-server ended ({describe(code)}); it is started again")
            pause = 0.0 if lived > STABLE_S else min(max(pause * 2, FIRST_PAUSE_S), LAST_PAUSE_S)
            await asyncio.sleep(pause)
            if self._stopping:
                return
            try:
                await nats.start_async()
            except CannotStart as error:
                self._notice(error.detail)

    async def _wait_ready(self, one: Child, name: str, deadline: float) -> None:
        while True:
            health = await self.health(name)
            if health is not None and health.status == "ready":
                return
            if one.deaths >= DEATHS_BEFORE_READY or one.last_code == 2 or time.monotonic() > deadline:
                how = describe(one.last_code) if one.last_code is not None else "it did not become ready"
                log = log_path(self.settings.data_dir, one.label)
                raise CannotStart(
                    f"the {name} service does not come up ({how}). "
                    + ("" if self._show_logs else f"Its log is {log}:\n{last_lines(log, 8)}")
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


def describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def log_path(data_dir: Path, label: str) -> Path:
    return data_dir / "logs" / f"{label}.log"


def log_file(data_dir: Path, label: str) -> Path:
    """Where a process writes, after one that has grown too large was set aside."""
    file = log_path(data_dir, label)
    if file.exists() and file.stat().st_size > LOG_BYTES:
        file.replace(file.with_suffix(".log.1"))
    return file


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
