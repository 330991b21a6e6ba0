"""What a task can do to be run apart from any flow: be delayed, and be served."""

from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from perfect_sdk.background.distributed_future import PerfectDistributedFuture

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105  the one that all decorators have
T = TypeVar("T")


class Delayable(Generic[P, R]):
    """Part of `Task`."""

    @overload
    def delay(
        self: "Delayable[P, Coroutine[Any, Any, T]]", *args: P.args, **kwargs: P.kwargs
    ) -> "PerfectDistributedFuture[T]": ...
    @overload
    def delay(self, *args: P.args, **kwargs: P.kwargs) -> "PerfectDistributedFuture[R]": ...
    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Run it in the background, in a run of its own, on a worker that has it (`serve`, or `perfect worker FILE`).

        Returns a future as soon as the run is stored; nobody has to serve the task yet. From scripts, web handlers,
        flows and tasks. Futures of `delay` among the arguments are waited for by the run itself.
        Raises ServiceUnavailable when there is no running system.
        """
        from perfect_sdk.background.delaying import delay

        return delay(self, args, kwargs)  # type: ignore[arg-type]

    def apply_async(
        self,
        args: tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        wait_for: Iterable[Any] | None = None,
        dependencies: Any = None,  # noqa: ARG002  they follow from the arguments
    ) -> "PerfectDistributedFuture[Any]":
        """`delay` with its arguments as a tuple and a dict. wait_for: futures that have to end well first."""
        from perfect_sdk.background.delaying import delay

        return delay(self, args or (), kwargs or {}, wait_for or ())  # type: ignore[arg-type]

    def serve(self, limit: int | None = 10) -> None:
        """Be a worker for this task's background runs, `limit` at once, until SIGINT or SIGTERM.

        The call stands at the end of the task's file, under `if __name__ == "__main__":`.
        """
        from perfect_sdk.task_worker import serve

        serve(self, limit=limit)  # type: ignore[arg-type]

    async def aserve(self, limit: int | None = 10) -> None:
        """`serve` for async code."""
        from perfect_sdk.task_worker import aserve

        await aserve(self, limit=limit)  # type: ignore[arg-type]
