"""Steps of a run that are no task of the user's: recorded like one, so a resumed run does not repeat them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from perfect_sdk.calling.execution import Call
from perfect_sdk.calling.policy import Policy
from perfect_sdk.context import Frame
from perfect_sdk.running.effects import Steps

if TYPE_CHECKING:
    from perfect_sdk.committing.transaction import Transaction


class Step:
    """What such a call is of, where a Task is expected."""

    __slots__ = ("fn", "is_async", "name")

    def __init__(self, name: str, fn: Callable[..., Any], *, is_async: bool) -> None:
        self.name = name
        self.fn = fn
        self.is_async = is_async


class StepCall(Call):
    """It joins no transaction. returns: what its recorded result is decoded as."""

    __slots__ = ("_returns",)

    def __init__(
        self,
        frame: Frame,
        name: str,
        work: Callable[..., Any],
        args: tuple[Any, ...],
        returns: Any,
        *,
        is_async: bool = False,
    ) -> None:
        self._returns = returns

        async def beside(*args: Any) -> Any:
            import asyncio

            return await asyncio.to_thread(work, *args)

        fn = beside if is_async else work
        super().__init__(frame, Step(name, fn, is_async=is_async), Policy(name=name), fn, args, {})

    @property
    def returns(self) -> Any:
        return self._returns

    def _ended(self, value: Any) -> Steps[None]:  # noqa: ARG002
        yield from ()

    def _undone(self) -> Steps[None]:
        yield from ()


class HookCall(StepCall):
    """A commit or rollback hook. Its place is a branch of its transaction's: hooks may come in another order when the run
    is resumed, and are told apart by their inputs: which transaction, and which of its hooks.
    """

    __slots__ = ()
    is_hook = True

    def __init__(self, txn: "Transaction", hook: Callable[..., Any], kind: str) -> None:
        around = txn.frame
        assert around is not None
        scope, n = txn.hook_place(kind)
        frame = Frame(around.session, scope, around.call, prints=around.prints)
        name = getattr(hook, "__name__", type(hook).__name__)
        super().__init__(frame, name, lambda *_: hook(txn), (txn.place, kind, n), None)

    def _completed(self, value: Any, duration_ms: int) -> Steps[None]:  # noqa: ARG002
        """What a hook returns is nobody's."""
        yield from super()._completed(None, duration_ms)
