"""Questions of the user's code to the services, within a run and outside of one, from sync and async code."""

import asyncio
import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from perfect_schemas import subjects
from perfect_schemas.errors import ServiceUnavailable
from perfect_sdk.connecting.system import System, is_async_code
from perfect_sdk.context import current, of_run
from perfect_sdk.running.effects import Blocking, Future, Steps, drive, drive_async

if TYPE_CHECKING:
    from concurrent.futures import Future as Answer

    from perfect_schemas.commands import Reply


class Outside:
    """Effect: an answer for code that is in no run."""

    __slots__ = ("future",)

    def __init__(self, future: "Answer[Reply]") -> None:
        self.future = future

    def run(self) -> Any:
        return self.future.result()

    async def run_async(self) -> Any:
        return await asyncio.wrap_future(self.future)


def ask(subject: str, request: Any) -> Steps[bytes | None]:
    """The answer's JSON; None when there is no running system. Raises what the service answers."""
    frame = of_run()
    if frame is not None:
        frame.check()
        session = frame.session
        if not session.journal.is_recorded:
            return None
        reply = yield Future(session, session.journal.ask(subject, request))
        return bytes(reply.value)
    system = yield Blocking(_system)
    if system is None:
        return None
    reply = yield Outside(system.ask(subject, request))
    return bytes(reply.value)


def command(service: str, verb: str, request: Any) -> Steps[bytes | None]:
    return ask(subjects.command(service, verb), request)


def _system() -> System | None:
    if os.environ.get("PERFECT_OFFLINE", "") not in ("", "0"):
        return None
    try:
        return System.of_process()
    except ServiceUnavailable:
        return None


def dispatched(steps: Steps[Any]) -> Any:
    """The result for sync code, a coroutine of it for async code, as Prefect has it."""
    return in_async(steps) if is_async_code(current.get()) else drive(steps)


def in_async(steps: Steps[Any]) -> Coroutine[Any, Any, Any]:
    return drive_async(steps)
