"""`perfect up`: the whole system in one command."""

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from perfect_bus.settings import Settings
from perfect_runtime.importing import uncollected
from perfect_schemas.errors import InvalidInput, PerfectError

if TYPE_CHECKING:
    from perfect_runtime.forked import ForkedServices
    from perfect_runtime.up import System

SETTINGS = ("data_dir", "host", "port", "nats_url", "nats_port", "durability", "log_level", "workflows_dir")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "up",
        help="start everything: NATS, the services, the web interface",
        description="Start a nats-server and all services, restart what dies, end everything on Ctrl-C.",
    )
    parser.add_argument("--data-dir", type=Path, help="where everything is kept (default .perfect)")
    parser.add_argument("--port", type=int, help="of the web interface (default 3000)")
    parser.add_argument("--host", help="of the web interface (default 127.0.0.1)")
    parser.add_argument("--nats-url", help="use this NATS server instead of starting one")
    parser.add_argument(
        "--nats-port", type=int, help="of the embedded nats-server (default: any free one, kept)"
    )
    parser.add_argument(
        "--durability", choices=["default", "strict"], help="strict: sync to disk before each acknowledgement"
    )
    parser.add_argument("--workflows-dir", type=Path, help="folder with the workflow files")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    parser.add_argument(
        "--logs", action="store_true", help="show the services' logs here instead of in files"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 stopped by a signal, 1 failed, 2 wrong usage."""
    try:
        overrides = {name: getattr(arguments, name) for name in SETTINGS}
        settings, origin = Settings.load_with_origin(overrides=overrides)
        with uncollected():
            from perfect_runtime.forked import fork_services
            from perfect_runtime.up import GROUPS

        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until somebody takes care of them
        forked = fork_services(GROUPS)
        return asyncio.run(_up(settings, origin, forked, show_logs=arguments.logs))
    except InvalidInput as error:
        print(f"perfect up: {error.detail}", file=sys.stderr)
        return 2
    except PerfectError as error:
        print(f"perfect up: {error.detail}", file=sys.stderr)
        return 1


async def _up(
    settings: Settings,
    origin: dict[str, str],
    forked: "dict[tuple[str, ...], ForkedServices]",
    *,
    show_logs: bool,
) -> int:
    from perfect_bus.cancelling import cancelled
    from perfect_runtime.up import System

    stopping = asyncio.Event()
    for sig in SIGNALS:
        if signal.getsignal(sig) is signal.SIG_IGN:  # nohup
            continue
        asyncio.get_running_loop().add_signal_handler(sig, stopping.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    began = time.monotonic()
    system = System(
        settings,
        notice=lambda text: print(text, file=sys.stderr, flush=True),
        show_logs=show_logs,
        origin=origin,
        forked=forked,
    )
    try:
        work = asyncio.create_task(_start(system, began))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
            await stop
        else:
            await cancelled(work)
        print("\nStopping …", file=sys.stderr, flush=True)
    finally:
        await system.stop()
    return 0


async def _start(system: "System", began: float) -> None:
    await system.start()
    await system.wait_ready()
    data_dir = system.settings.data_dir
    print(
        f"Perfect is ready after {time.monotonic() - began:.1f} s: {system.url}\n"
        f"  data and logs  {data_dir}\n"
        f"  start a worker with  perfect worker FILE.py\n"
        f"  stop with Ctrl-C",
        flush=True,
    )
