"""A TCP relay between clients and nats-server that can swallow the answer to one message, or make all answers late.

link = Link("127.0.0.1", port)
await link.start()                        # clients connect to link.port
swallowed = link.swallow(b'"type":"run.queued"')
await swallowed                           # somebody has sent such a message, and will hear nothing any more
nats_server.kill(); nats_server.start()   # its connection breaks, and the next one is an ordinary one
"""

import asyncio

TAIL_BYTES = 100  # a marker may come in two pieces
AGAIN_S = 0.01  # the server is down


class Link:
    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.sides: set[_Side] = set()
        self.dialling: set[asyncio.Task[None]] = set()
        self.late_s = 0.0  # by which everything that the server says comes later
        self._marker: bytes | None = None
        self._sprung: asyncio.Future[None]
        self._server: asyncio.Server

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Client(self), "127.0.0.1", 0)

    async def stop(self) -> None:
        self._server.close()
        for task in self.dialling:
            task.cancel()
        for side in list(self.sides):
            side.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    @property
    def port(self) -> int:
        return self._server.sockets[0].getsockname()[1]

    def swallow(self, marker: bytes) -> "asyncio.Future[None]":
        """The next message with `marker` in it still reaches the server; from then on its connection is silent towards
        the client. The future is done when that message has been passed on.
        """
        self._marker = marker
        self._sprung = asyncio.get_running_loop().create_future()
        return self._sprung

    def is_hit(self, data: bytes) -> bool:
        if self._marker is None or self._marker not in data:
            return False
        self._marker = None
        self._sprung.set_result(None)
        return True


class _Side(asyncio.Protocol):
    """One end of a connection. `other`: the end that gets what comes in here."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.link.sides.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self.link.sides.discard(self)
        if self.other is not None:
            self.other.close()

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Client(_Side):
    """Towards the client, which does not speak before the server has."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.silent = False
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        task = asyncio.get_running_loop().create_task(self._dial())
        self.link.dialling.add(task)
        task.add_done_callback(self.link.dialling.discard)

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        while (
            self in self.link.sides
        ):  # a client that is turned away leaves unclosed sockets behind: it waits instead
            try:
                await loop.create_connection(lambda: _Server(self.link, self), *self.link.target)
            except OSError:
                await asyncio.sleep(AGAIN_S)
            else:
                return

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.silent:
            self.silent = self.link.is_hit(self._tail + data)
        self._tail = data[-TAIL_BYTES:]


class _Server(_Side):
    def __init__(self, link: Link, client: _Client) -> None:
        super().__init__(link)
        self.other: _Client = client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.other.other = self
        if self.other not in self.link.sides:  # it has gone meanwhile
            self.close()

    def data_received(self, data: bytes) -> None:
        if self.other.silent:
            return
        if self.link.late_s:
            asyncio.get_running_loop().call_later(self.link.late_s, super().data_received, data)
        else:
            super().data_received(data)
