"""The HTTP server: granian's embedded one, in the event loop of the service.

Tried against its alternatives: it shares this process's loop and NATS connection (one process of about 60 MB; granian's
usual form is a supervisor plus a worker that would need a second connection), and its HTTP parser is the fastest of the
three servers measured. It has two traps, both handled here: it binds with SO_REUSEPORT, so that a second gateway
would silently share the port of the first, and it waits for ever for open streams at its end, which is why streams are
closed before and `stop` gives up waiting after a moment.
"""

import asyncio
import ipaddress
import logging
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from perfect_schemas.errors import Conflicting, Failed, InvalidInput

START_S = 30.0
STOP_S = 1.0
BACKLOG = 1024
MOST_REQUESTS = 8192  # at once, open streams included


def check_host(host: str) -> None:
    """Raises InvalidInput for an address that others could reach: there is no login."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidInput(
            f"the gateway does not listen on {host!r}: it has no login, so anyone who reaches it could run flows. "
            "Use 127.0.0.1 (PERFECT_HOST) and a tunnel, or a proxy that asks who is there"
        )


def free_port(host: str, port: int) -> int:
    """`port` when nobody listens there, or any free one for 0. Raises Conflicting when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise Conflicting(
                f"port {port} on {host} cannot be used ({error.strerror}): another program, perhaps another Perfect, "
                f"listens there. End it or choose another port (--port or PERFECT_PORT)"
            ) from error
        return probe.getsockname()[1]


class HttpServer:
    """Create, `start()`, `await stop()`. `task` ends only with the server."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        check_host(host)
        self.host = "127.0.0.1" if host == "localhost" else host.strip("[]")
        self.port = free_port(self.host, port)
        logging.getLogger("_granian").setLevel(logging.ERROR)
        self._server = Server(
            app,
            address=self.host,
            port=self.port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=10_000, max_buffer_size=64 * 1024),
            websockets=False,
            backlog=BACKLOG,
            backpressure=MOST_REQUESTS,
            log_enabled=False,
        )

    async def serve(self) -> None:
        """Until `stop()`. Returning earlier than that is a failure of the server."""
        await self._server.serve()

    async def listening(self) -> None:
        """Returns when connections are accepted. Raises Failed when they are not after `START_S` seconds."""
        deadline = asyncio.get_running_loop().time() + START_S
        while True:
            try:
                _, writer = await asyncio.open_connection(self.host, self.port)
            except OSError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise Failed(f"nobody listens on {self.host}:{self.port}: {error}") from error
                await asyncio.sleep(0.005)
            else:
                writer.close()
                return

    async def stop(self, task: "asyncio.Task[None] | None") -> None:
        """New connections are refused at once; answers under way get `STOP_S` seconds."""
        self._server.stop()
        if task is not None:
            await asyncio.wait({task}, timeout=STOP_S)
