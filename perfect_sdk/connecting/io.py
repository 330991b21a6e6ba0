"""The SDK's I/O thread: one daemon thread a process, with an event loop of its own that owns the `Bus`.

User code never runs on it, so nothing that a user does on an event loop or in a thread can starve the SDK's I/O. Work
is handed over through a deque and one wake-up of the loop; while that wake-up is under way further work costs the
caller an append only.

    io = IO(connection, name="worker")
    io.start()                              # raises BusUnavailable
    io.put(subject, data, event.id)         # from any thread; returns at once, order is kept
    io.call(read_history, run_id)           # from any thread: await a coroutine on the I/O loop, block until it is done
    io.close()

A fork gets its own connection at its first use: the child drops everything that it has inherited.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from perfect_bus import Ack, Bus
from perfect_bus.bus import Connection
from perfect_schemas.errors import BusUnavailable
from perfect_sdk.connecting.direct import Direct

T = TypeVar("T")
Done = Callable[[Ack | BusUnavailable], None]

FLUSH_S = 5.0  # how long the end of the process may wait for acknowledgements
CONNECT_S = 10.0
LEASE_S = 5.0
MAX_POSTED = 10_000  # entries not yet taken over by the loop

_all: "weakref.WeakSet[IO]" = weakref.WeakSet()
_inherited: list[
    Any
] = []  # a forked child keeps what it inherited, so that no destructor touches the parent's sockets


class IO:
    """`name`: how the connection appears at the server. `on_error(text)`: asynchronous errors, on the I/O thread.

    `ready`: called on the I/O loop after each start with the new bus (also in a forked child).
    lease_s: after which a client's presence ends, for whoever watches others.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        on_error: Callable[[str], None] | None = None,
        ready: Callable[[Bus], None] | None = None,
    ) -> None:
        self.connection = connection
        self.name = name
        self._on_error = on_error
        self._ready = ready
        self.lease_s = LEASE_S
        self.direct = Direct(self)
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        self._posted: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._waking = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bus: Bus | None = None
        self._closed = False

    # -- life

    def start(self, timeout_s: float = CONNECT_S) -> None:
        """Connect, if not yet connected. Raises BusUnavailable when NATS does not answer within `timeout_s`."""
        with self._lock:
            if self._bus is not None:
                return
            if self._closed:
                raise BusUnavailable("the connection to NATS was closed")
            started: concurrent.futures.Future[None] = concurrent.futures.Future()
            self._thread = threading.Thread(
                target=self._main, args=(started, timeout_s), name="perfect-io", daemon=True
            )
            self._thread.start()
            started.result()

    def _main(self, started: "concurrent.futures.Future[None]", timeout_s: float) -> None:
        loop = new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            bus = loop.run_until_complete(
                Bus.connect(self.connection, name=self.name, timeout_s=timeout_s, on_error=self._on_error)
            )
        except BaseException as error:
            started.set_exception(error)
            loop.close()
            return
        self._bus, self._loop = bus, loop
        if self._ready is not None:
            loop.call_soon(self._ready, bus)
        if self._posted:
            self._wake()
        started.set_result(None)
        try:
            loop.run_forever()
        finally:
            loop.close()

    def close(self, flush_s: float = FLUSH_S) -> int:
        """Send what is left within `flush_s` seconds. Returns how many messages stay unacknowledged. Repeatable."""
        self.direct.close(flush_s)
        with self._lock:
            if self._closed or self._bus is None or self._loop is None:
                self._closed = True
                return 0
            self._closed = True
            bus, loop = self._bus, self._loop
        left = 0
        with contextlib.suppress(concurrent.futures.TimeoutError, BusUnavailable, RuntimeError):
            left = self._submit(bus.close, flush_s).result(flush_s + 2)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(1)
        return left

    @property
    def bus(self) -> Bus:
        """For use on the I/O loop. Connects first when that has not happened yet."""
        if self._bus is None:
            self.start()
        assert self._bus is not None
        return self._bus

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self.start()
        assert self._loop is not None
        return self._loop

    # -- handing work over, from any thread

    def post(self, action: Callable[..., Any], *args: Any) -> None:
        """Run `action(*args)` on the I/O loop, after everything posted before. Costs about a microsecond."""
        self._posted.append((action, args))
        if not self._waking:
            self._wake()

    def _wake(self) -> None:
        self._waking = True
        if self._loop is None:
            self.start()
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._take)
        except RuntimeError:
            raise BusUnavailable("the connection to NATS was closed") from None

    def _take(self) -> None:
        self._waking = False
        posted = self._posted
        while posted:
            action, args = posted.popleft()
            try:
                action(*args)
            except Exception as error:
                self.bus.report(f"{type(error).__name__}: {error}")

    def put(
        self,
        subject: str,
        data: bytes,
        msg_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        done: Done | None = None,
    ) -> None:
        """Queue one message in the outbox, where it is tried until the connection is closed.

        `done` is called on the I/O thread.
        """
        self.post(self._put, subject, data, msg_id, headers, done)

    def _put(
        self,
        subject: str,
        data: bytes,
        msg_id: str | None,
        headers: Mapping[str, str] | None,
        done: Done | None,
    ) -> None:
        self.bus.outbox.put(subject, data, msg_id, headers=headers, done=done)

    def submit(
        self, function: Callable[..., Coroutine[Any, Any, T] | Awaitable[T]], *args: Any
    ) -> "concurrent.futures.Future[T]":
        """`call` that does not wait. Cancelling the future cancels the work."""
        return self._submit(function, *args)

    def _submit(
        self, function: Callable[..., Coroutine[Any, Any, T] | Awaitable[T]], *args: Any
    ) -> "concurrent.futures.Future[T]":
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.post(self._run, future, function, args)
        return future

    def _run(
        self,
        future: "concurrent.futures.Future[T]",
        function: Callable[..., Awaitable[T]],
        args: tuple[Any, ...],
    ) -> None:
        async def run() -> None:
            try:
                result = await function(*args)
                if not future.done():
                    future.set_result(result)
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)
                if isinstance(error, asyncio.CancelledError):
                    raise

        task = self.spawn(run())
        future.add_done_callback(lambda done: done.cancelled() and self.post(task.cancel))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """On the I/O loop: run `work` in the background."""
        task = self.loop.create_task(work)
        _running.add(task)
        task.add_done_callback(_running.discard)
        return task

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await `function(*args)` on the I/O loop and block until it is done. Never on an event loop's thread."""
        return self._submit(function, *args).result()

    async def call_async(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """`call` from another event loop."""
        return await asyncio.wrap_future(self._submit(function, *args))

    # -- back-pressure

    @property
    def is_full(self) -> bool:
        """Whether so much waits for its acknowledgement that whoever can wait should."""
        bus = self._bus
        return len(self._posted) >= MAX_POSTED or (bus is not None and bus.outbox.is_full)

    def wait_for_room(self) -> None:
        """Block while the outbox is full. On an event loop's thread it does not wait: `await room()` does."""
        if self.is_full and asyncio._get_running_loop() is None:
            self.call(self._room)

    async def room(self) -> None:
        if self.is_full:
            await self.call_async(self._room)

    async def _room(self) -> None:
        await self.bus.outbox.room()

    # -- fork

    def _forget(self) -> None:
        """In a forked child: the thread is gone and the sockets are the parent's."""
        self.direct.forget()
        inherited = (self._loop, self._bus, self._thread, self._posted)
        transport = getattr(getattr(self._bus, "nc", None), "_transport", None)
        closed = self._closed
        self._reset()
        self._closed = closed
        _inherited.append(inherited)
        _detach(transport)


_running: set[asyncio.Task[Any]] = set()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _detach(transport: Any) -> None:
    """Put /dev/null in the place of the inherited socket, so that the server sees its end when the parent ends."""
    stream = getattr(transport, "_io_writer", None)
    raw = stream.get_extra_info("socket") if stream is not None else None
    if raw is None:
        return
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        os.dup2(null, raw.fileno(), inheritable=False)
        os.close(null)


def _after_fork() -> None:
    _running.clear()
    for io in list(_all):
        io._forget()


def _at_exit() -> None:
    for io in list(_all):
        io.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
