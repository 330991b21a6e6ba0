"""Processes that die in tests: after a certain event nothing more is stored, as if the worker had been killed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import Event
from perfect_sdk.recording.journal import RunSupersededError
from perfect_sdk.recording.memory import MemoryJournal

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunContext


class MortalJournal(MemoryJournal):
    """Stores events until there are `dies_after` of them, of the run and its child runs; the code that says the last of
    them, and whoever says one later, is unwound.
    """

    def __init__(
        self, run_id: str, events: Iterable[Event] = (), *, dies_after: int, shared: Any = None
    ) -> None:
        super().__init__(run_id, shared=shared)
        self._dies_after = dies_after
        for event in events:
            self._append(event)

    def emit(self, event: Event) -> None:
        self._live()
        super().emit(event)
        self._live()

    def commit(self, event: Event) -> None:
        self._live()
        super().commit(event)
        self._live()

    def child(self, run: "RunContext") -> "MortalJournal":
        return MortalJournal(run.run_id, dies_after=self._dies_after, shared=self.shared)

    def _live(self) -> None:
        if len(self.shared.events) >= self._dies_after:
            raise RunSupersededError(f"killed by the test after {self._dies_after} events")
