"""How time passes for the code of runs: by itself, or as a test says that has taken the clock."""

from typing import TYPE_CHECKING, Protocol

from perfect_schemas import envelope

if TYPE_CHECKING:
    from datetime import datetime

    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession


class Clock(Protocol):
    def now(self) -> "datetime": ...

    def sleep(self, seconds: float, session: "RunSession", call: "Call | None") -> None:
        """Returns when the time has passed; raises as `Stop.sleep` does once the run is to stop. call: that sleeps."""

    async def sleep_async(self, seconds: float, session: "RunSession", call: "Call | None") -> None: ...


_taken: Clock | None = None


def taken() -> Clock | None:
    """The clock of the test that runs, None when time passes by itself."""
    return _taken


def take(clock: Clock | None) -> Clock | None:
    """From now on `utc_now()` and the SDK's own sleeps follow `clock`. Returns the one before."""
    global _taken
    before, _taken = _taken, clock
    envelope.set_clock(None if clock is None else clock.now)
    return before
