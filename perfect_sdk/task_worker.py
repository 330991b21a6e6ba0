"""`serve(*tasks)`: this process becomes a worker for the background runs of exactly these tasks (`task.delay(…)`)."""

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

from perfect_schemas.errors import ServiceUnavailable
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.serving import serve as serving
from perfect_sdk.task import Task

if TYPE_CHECKING:
    from perfect_sdk.worker.options import WorkerOptions

__all__ = ["aserve", "serve"]


def serve(
    *tasks: Task[..., Any],
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,
) -> None:
    """Serve tasks until SIGINT or SIGTERM: then runs are given a moment to end, and what has not is left to others.

    limit: how many run at once, None for as many as a worker has places. timeout: seconds after which it ends.
    status_server_port: has no effect, the system's own API tells of workers. The tasks stand at the top level of
    their files, the call under `if __name__ == "__main__":`. Ends the program with a sentence when there is no system.
    """
    if serving._has_loop():
        raise NotSupported("serve() blocks, and an event loop runs here: use `await aserve(…)`")
    try:
        options = _options(tasks, limit, status_server_port)
    except ServiceUnavailable as error:
        raise SystemExit(f"perfect: {error.detail}") from None
    from perfect_sdk.worker.supervisor import run_worker

    code = run_worker(options, timeout)
    if code:
        raise SystemExit(code)


async def aserve(
    *tasks: Task[..., Any],
    limit: int | None = 10,
    status_server_port: int | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  as its twin
) -> None:
    """`serve` for async code: ends when it is cancelled. Raises ServiceUnavailable when there is no running system."""
    options = _options(tasks, limit, status_server_port)
    limited = asyncio.timeout(timeout)
    try:
        async with limited:
            await serving.work(options)
    except TimeoutError:
        if not limited.expired():
            raise


def _options(tasks: tuple[Any, ...], limit: int | None, status_server_port: int | None) -> "WorkerOptions":
    from perfect_bus.settings import Settings
    from perfect_sdk.worker.options import WorkerOptions

    if not tasks:
        raise NotSupported("serve() needs tasks: serve(task, …)")
    for one in tasks:
        if not isinstance(one, Task):
            raise NotSupported(
                f"task_worker.serve() takes tasks, not {one!r}; flows are served by perfect_sdk.serve()"
            )
    serving.check_limit(limit)
    if status_server_port is not None:
        warnings.warn(
            "serve(status_server_port=…) has no effect: /api/health and /api/clients of the system tell of every worker",
            UserWarning,
            stacklevel=3,
        )
    settings = Settings.load()
    targets = list(dict.fromkeys(map(serving.target_of, tasks)))
    connection = serving.find_system(", ".join(f"task {one.name!r}" for one in tasks), settings)
    return WorkerOptions(targets=targets, connection=connection, limit=limit).with_settings(settings)
