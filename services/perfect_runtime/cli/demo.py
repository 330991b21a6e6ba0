"""`perfect demo`: everything up, a worker with the example workflows, each of them run once, watched live."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from perfect_schemas.errors import PerfectError

EXAMPLES = ("weather.py", "digits.py", "monitor.py")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "demo",
        help="start everything with the example workflows and run each of them once",
        description="Start everything, a worker that serves the example workflows, and run each of them once.",
    )
    parser.add_argument(
        "--exit", action="store_true", help="end after the runs, with a summary; for scripts and CI"
    )
    parser.add_argument("--data-dir", type=Path, help="where data lives (default: .perfect)")
    parser.add_argument("--port", type=int, help="port of the web page and API (default: 3000)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from perfect_bus.settings import Settings

    try:
        settings = Settings.load(overrides={"data_dir": arguments.data_dir, "port": arguments.port})
        return asyncio.run(_demo(settings, stay=not arguments.exit))
    except PerfectError as error:
        print(f"perfect demo: {error.detail}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


async def _demo(settings, *, stay: bool) -> int:  # noqa: ANN001
    from perfect_bus.cancelling import cancelled
    from perfect_runtime.demo import Demo

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    demo = Demo(settings, example_files())
    work = asyncio.ensure_future(demo.run())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return 130
        code = work.result()
        if stay:
            print(f"\nOpen {demo.url} · Ctrl-C ends everything")
            await stop.wait()
        return code
    finally:
        await cancelled(work, stopped)
        await demo.stop()


def example_files() -> list[Path]:
    """The example workflows: packed into the wheel, or beside the source tree in an editable installation.

    Raises NotFound when neither is there.
    """
    from perfect_schemas.errors import NotFound

    package = Path(__file__).parent.parent
    for folder in (package / "examples", package.parent.parent / "examples" / "workflows"):
        files = [folder / name for name in EXAMPLES]
        if all(file.is_file() for file in files):
            return files
    raise NotFound(f"the example workflows {', '.join(EXAMPLES)} are not part of this installation")
