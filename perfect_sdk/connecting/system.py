"""The running system, for code within a run and outside of one: questions to its services, other runs' lives."""

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from perfect_schemas import subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import StoredValue
from perfect_schemas.errors import ServiceUnavailable
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds.run import RunLife
from perfect_sdk.connecting.following import until_final

if TYPE_CHECKING:
    from concurrent.futures import Future

    from perfect_schemas.commands import Reply
    from perfect_sdk.connecting.io import IO
    from perfect_sdk.context import Frame

T = TypeVar("T")


class System:
    """By one connection to NATS. Every method gives a future: whoever waits can still hear that it is to stop."""

    _of_process: "System | None" = None
    _making = threading.Lock()

    def __init__(self, io: "IO") -> None:
        self._io = io

    @classmethod
    def of_process(cls) -> "System":
        """For code outside of a run; connects when first used. Raises ServiceUnavailable when there is none."""
        from perfect_sdk.connecting.connect import find
        from perfect_sdk.connecting.io import IO

        with cls._making:
            if cls._of_process is None:
                connection = find()
                if connection is None:
                    raise ServiceUnavailable("no running Perfect system found: `perfect up` starts one")
                io = IO(connection, name="perfect_sdk")
                io.start()
                cls._of_process = System(io)
            return cls._of_process

    def ask(
        self, subject: str, request: Any, *, timeout_s: float = 10.0, try_s: float = 2.0
    ) -> "Future[Reply]":
        async def ask() -> "Reply":
            return await self._io.bus.ask(subject, request, timeout_s=timeout_s, try_s=try_s)

        return self._io.submit(ask)

    def after(self, seconds: float) -> "Future[None]":
        """Done when the time has passed."""
        return self._io.submit(asyncio.sleep, seconds)

    def life(self, run_id: str) -> "Future[RunLife | None]":
        async def life() -> RunLife | None:
            found: RunLife | None = None
            for seq, event in await self._io.bus.read(subjects.run(run_id)):
                if not isinstance(event, UnknownEvent):
                    found = run_fold.evolve(found, event, seq)
            return found

        return self._io.submit(life)

    def load(self, stored: StoredValue) -> bytes:
        """The bytes behind a reference. Blocks. Raises NotFound."""
        from perfect_sdk.recording.objects import get_object

        assert stored.ref is not None
        return self._io.call(get_object, self._io.bus, stored.ref)

    def until_final(self, run_id: str) -> "Future[RunLife]":
        return self._io.submit(until_final, self._io.bus, run_id)


def is_async_code(frame: "Frame | None") -> bool:
    """Whether the calling code is async: its task or flow is, or outside of a run an event loop runs here."""
    if frame is not None:
        owner = frame.call.what if frame.call is not None else frame.session.flow
        return bool(getattr(owner, "is_async", False))
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
