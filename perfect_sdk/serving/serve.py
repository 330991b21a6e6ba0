"""`serve(…)`: this process becomes a worker for exactly the flows of some deployments, until it is told to stop.

The flows run in executors, as those of `perfect worker` do: they import the file that calls `serve`, without running
what stands under `if __name__ == "__main__":`.
"""

import asyncio
import os
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfect_schemas.errors import ServiceUnavailable
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.serving.deployment import RunnerDeployment

if TYPE_CHECKING:
    from perfect_bus.bus import Connection
    from perfect_bus.settings import Settings
    from perfect_sdk.flow import Flow
    from perfect_sdk.task import Task
    from perfect_sdk.worker.options import WorkerOptions

__all__ = ["aserve", "serve"]


def serve(
    *args: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = None,
    **kwargs: Any,
) -> None:
    """Serve deployments, as `flow.to_deployment(…)` makes them, until SIGINT or SIGTERM: then runs are given a moment to
    end, and what has not is left to other workers.

    pause_on_shutdown: their schedules pause at the end, and go on when they are served again. limit: how many runs this
    process executes at once. Ends the program with a sentence when there is no running system.
    """
    _refuse(kwargs)
    if _has_loop():
        raise NotSupported(
            "serve() blocks, and an event loop runs here: use `await aserve(flow.to_deployment(name=…))`"
        )
    try:
        options = _options(args, limit, pause=pause_on_shutdown, announce=print_starting_message)
    except ServiceUnavailable as error:
        raise SystemExit(f"perfect: {error.detail}") from None
    from perfect_sdk.worker.supervisor import run_worker

    code = run_worker(options)
    if code:
        raise SystemExit(code)


async def aserve(
    *args: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = None,
    **kwargs: Any,
) -> None:
    """`serve` for async code: ends when it is cancelled. Raises ServiceUnavailable when there is no running system."""
    _refuse(kwargs)
    options = _options(args, limit, pause=pause_on_shutdown, announce=print_starting_message)
    await work(options)


async def work(options: "WorkerOptions") -> None:
    """Be that worker until cancelled. Raises ServiceUnavailable when it cannot serve."""
    worker = _InThread(options)
    try:
        code = await worker.ended()
    except asyncio.CancelledError:
        worker.stop()
        await worker.ended()
        raise
    if code:
        raise ServiceUnavailable("the worker could not serve: it said why on stderr")


class _InThread:
    """A worker on a loop of its own: what the user's loop is busy with never holds up its heartbeat."""

    def __init__(self, options: "WorkerOptions") -> None:
        from perfect_sdk.worker.supervisor import Supervisor

        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()
        self._supervisor: Supervisor | None = None
        self._options = options
        self._inner: asyncio.AbstractEventLoop | None = None
        self._is_there = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perfect-serve", daemon=True)
        self._thread.start()

    async def ended(self) -> int:
        return await asyncio.shield(self._code)

    def stop(self) -> None:
        self._is_there.wait()
        if self._inner is not None and self._supervisor is not None and not self._inner.is_closed():
            self._inner.call_soon_threadsafe(self._supervisor.stop)

    def _run(self) -> None:
        from perfect_sdk.connecting.io import new_event_loop
        from perfect_sdk.worker.supervisor import Supervisor

        async def main() -> int:
            self._inner = asyncio.get_running_loop()
            self._supervisor = Supervisor(self._options)
            self._is_there.set()
            return await self._supervisor.run()

        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                code = runner.run(main())
        except BaseException as error:
            self._is_there.set()
            self._tell(self._code.set_exception, error)
        else:
            self._tell(self._code.set_result, code)

    def _tell(self, how: Any, what: Any) -> None:
        def tell() -> None:
            if not self._code.done():
                how(what)

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)


def warn_webserver() -> None:
    warnings.warn(
        "serve(webserver=True) has no effect: /api/health and /api/clients of the system tell of every worker",
        UserWarning,
        stacklevel=3,
    )


def _refuse(others: dict[str, Any]) -> None:
    for name in others:
        raise TypeError(f"serve() has no option {name!r}")


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _options(
    deployments: tuple[RunnerDeployment, ...], limit: int | None, *, pause: bool, announce: bool
) -> "WorkerOptions":
    from perfect_bus.settings import Settings
    from perfect_sdk.worker.options import Served, WorkerOptions

    if not deployments:
        raise NotSupported("serve() needs deployments: serve(flow.to_deployment(name=…), …)")
    for one in deployments:
        if not isinstance(one, RunnerDeployment):
            raise NotSupported(f"serve() takes what flow.to_deployment(name=…) makes, not {one!r}")
    check_limit(limit)
    targets = list(dict.fromkeys(target_of(one.flow) for one in deployments))
    settings = Settings.load()
    connection = find_system(", ".join(one.full_name for one in deployments), settings)
    options = WorkerOptions(
        targets=targets,
        connection=connection,
        limit=limit,
        served=[
            Served(flow=one.flow.name, deployment=one.deployment, schedules=one.schedules)
            for one in deployments
        ],
        pause_on_shutdown=pause,
        announces=announce,
    )
    return options.with_settings(settings)


def check_limit(limit: Any) -> None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise NotSupported(f"serve(limit=…) is a whole number from 1 on, not {limit!r}")


def find_system(names: str, settings: "Settings") -> "Connection":
    """Raises ServiceUnavailable, saying what cannot be served."""
    from perfect_sdk.connecting.connect import find

    connection = find(settings)
    if connection is None:
        raise ServiceUnavailable(
            f"no running Perfect system found to serve {names} in: `perfect up` starts one"
        )
    return connection


def target_of(what: "Flow[..., Any] | Task[..., Any]") -> str:
    """Where an executor finds the flow or task: `file.py:variable` or `package.module:variable`. Raises NotSupported."""
    module = sys.modules.get(getattr(what.fn, "__module__", "") or "")
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        raise NotSupported(
            f"{_named(what)} is not in a file: put it into one, so that the processes that run it can import it"
        )
    variable = next((name for name, value in vars(module).items() if value is what), None)
    if variable is None:
        raise NotSupported(
            f"{_named(what)} is not at the top level of {file}: give it a variable there (outside of "
            'functions and of `if __name__ == "__main__":`), so that the processes that run it can import it'
        )
    spec = getattr(module, "__spec__", None)
    name = spec.name if module.__name__ == "__main__" and spec is not None else module.__name__
    if name == "__main__" or "." not in name:
        return f"{Path(file).resolve()}:{variable}"
    _let_find(Path(file), name)
    return f"{name}:{variable}"


def _named(what: Any) -> str:
    from perfect_sdk.task import Task

    return f"{'task' if isinstance(what, Task) else 'flow'} {what.name!r}"


def _let_find(file: Path, module: str) -> None:
    """The folder that the package lies in, for the executors, which start elsewhere."""
    depth = module.count(".") + (file.name == "__init__.py")
    root = str(file.resolve().parents[depth])
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *paths])
