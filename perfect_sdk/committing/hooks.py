"""Functions of the user's that run at the end of something, sync or async, from sync and async code."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfect_sdk.committing.transaction import Transaction


class HookEffect:
    """A hook that is not recorded."""

    __slots__ = ("hook", "transaction")

    def __init__(self, hook: Callable[..., Any], txn: "Transaction") -> None:
        self.hook = hook
        self.transaction = txn

    def run(self) -> None:
        finish(self.hook(self.transaction))

    async def run_async(self) -> None:
        made = self.hook(self.transaction)
        if hasattr(made, "__await__"):
            await made


def finish(made: Any) -> None:
    """Wait for what an async hook has returned to sync code: on a loop in a thread of its own."""
    if not hasattr(made, "__await__"):
        return
    import asyncio
    import contextvars

    async def work() -> None:
        await made

    context = contextvars.copy_context()
    failure: list[BaseException] = []

    def serve() -> None:
        try:
            context.run(asyncio.run, work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=serve, name="perfect-hook")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
