"""The code of a run that waits stays in memory: it rests, until the run is claimed again or the code is unwound."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfect_schemas.folds.history import History
    from perfect_sdk.running.session import RunSession
    from perfect_sdk.runs import RunContext
    from perfect_sdk.waiting.floor import Parked


def rest(session: "RunSession", chosen: "Parked", beside: "Sequence[Parked]") -> bool:
    """`run.suspended` is stored. Whether the code stays where it is, until `go_on` or `unwind` is called."""
    if session.keeper is None or not session.floor.rest(chosen, beside):
        return False
    session.keeper()
    return True


def go_on(session: "RunSession", run: "RunContext", history: "History", prepare: Callable[[], None]) -> bool:
    """The run is claimed again, after `history`, while its code rests: what is not waited for any more goes on.

    False when the code is being unwound, or more happened to the run than that it was resumed: then it is to be replayed.
    run: with the new claim. prepare: called before anything goes on. From any thread.
    """
    life = history.run
    if life is None or life.epoch != session.epoch + 1 or history.retry_epoch != session.retry_epoch:
        return False

    def begin() -> None:
        prepare()
        session.go_on(run, history)

    return session.floor.go_on(begin, lambda parked: _is_over(history, parked))


def _is_over(history: "History", parked: "Parked") -> bool:
    """A distributed task is asked for anew: what became of it is not the run's own story."""
    if parked.waits_for == "task":
        return True
    wait = history.waits.get(parked.key)
    return wait is not None and wait.is_over


def unwind(session: "RunSession") -> None:
    """End the rest: the code is unwound and writes nothing. From any thread; nothing happens when it does not rest."""
    if session.floor.end_rest():
        session.stop.suspend()
