"""Running services: one process, one event loop, one connection, until a signal or a failure ends it."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import Sequence
from importlib.metadata import entry_points

import structlog

from perfect_bus import Bus
from perfect_bus.cancelling import cancelled
from perfect_bus.settings import Settings, find_connection
from perfect_runtime.errors import CannotStart
from perfect_runtime.importing import uncollected
from perfect_runtime.logging import set_up
from perfect_runtime.service import Context, Service
from perfect_runtime.streams import ensure_streams
from perfect_schemas.errors import InvalidInput, PerfectError

GROUP = "perfect.services"
STOPPED, FAILED, WRONG_USAGE = 0, 1, 2
CONNECT_S = 5.0
STOP_S = 2.5
FLUSH_S = 1.5


def load_services(names: Sequence[str]) -> list[type[Service]]:
    """Raises InvalidInput for a name that no installed package provides."""
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    for name in names:
        if name not in known:
            raise InvalidInput(
                f"there is no service {name!r}; there are: {', '.join(sorted(known)) or 'none installed'}"
            )
    with uncollected():
        return [known[name].load() for name in names]


def run_services(names: Sequence[str], settings: Settings) -> int:
    """Blocks. Returns the exit code: 0 stopped by a signal, 1 failed, 2 wrong usage."""
    log = set_up(settings, "+".join(names))
    try:
        services = load_services(names)
    except InvalidInput as error:
        log.error(error.detail)  # noqa: TRY400  # said for people: no traceback
        return WRONG_USAGE
    gc.freeze()  # what was imported stays: nobody need look through it for garbage
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(services, settings, log))


def _loop_factory():  # noqa: ANN202
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(kinds: list[type[Service]], settings: Settings, log: structlog.stdlib.BoundLogger) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stopping.set)
    name = "+".join(kind.name for kind in kinds)
    try:
        bus = await connect(settings, name, log)
    except PerfectError as error:
        log.error(error.detail)  # noqa: TRY400  # said for people: no traceback
        return FAILED
    context = Context(bus=bus, settings=settings, log=log)
    services = [kind(context) for kind in kinds]
    code = FAILED
    try:
        if await _until(stopping, context, _start(services, settings, bus)):
            log.info("ready", services=name)
            gc.collect()
            gc.freeze()
            await _until(stopping, context, asyncio.Event().wait())
        code = STOPPED
    except PerfectError as error:
        log.error(error.detail)  # noqa: TRY400  # said for people: no traceback
    except Exception as error:
        log.exception("failed", error=repr(error))
    for service in reversed(services):
        service.status = "stopping"
        try:
            await asyncio.wait_for(service.stop(), STOP_S)
        except Exception as error:
            log.error("did not stop cleanly", service=service.name, error=repr(error))  # noqa: TRY400
    await context.cancel_spawned()
    left = 0
    with contextlib.suppress(Exception):
        left = await bus.close(FLUSH_S)
    gc.unfreeze()  # else native modules (duckdb) report what was frozen as leaked when the interpreter ends
    log.info("stopped", unacknowledged=left)
    return code


async def connect(settings: Settings, name: str, log: structlog.stdlib.BoundLogger) -> Bus:
    """Raises CannotStart when there is nothing to connect to, BusUnavailable when it does not answer."""
    connection = find_connection(settings)
    if connection is None:
        raise CannotStart(
            "no NATS server is known: start a whole system with `perfect up`, name one with --nats "
            "nats://USER:PASSWORD@HOST:PORT or PERFECT_NATS_URL, or choose the --data-dir of a running system."
        )
    return await Bus.connect(
        connection, name=name, timeout_s=CONNECT_S, on_error=lambda text: log.warning("bus", error=text)
    )


async def _start(services: list[Service], settings: Settings, bus: Bus) -> None:
    await ensure_streams(bus, settings)
    for service in services:
        await service.answer_health()
    for service in services:
        await service.start()
        if service.status == "starting":
            service.status = "ready"


async def _until(stopping: asyncio.Event, context: Context, work) -> bool:  # noqa: ANN001
    """Run `work`; False when a signal came first. Raises what failed, in `work` or in the background."""
    task = asyncio.ensure_future(work)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({task, stop, context.failure}, return_when=asyncio.FIRST_COMPLETED)
        if context.failure.done():
            context.failure.result()
        if task.done():
            task.result()
            return True
        return False
    finally:
        stop.cancel()
        if not task.done():
            await cancelled(task)
