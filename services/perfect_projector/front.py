"""What is asked most, answered from memory: kept up with each commit, and as of the last one.

Of the loop's own thread: between two commits nothing changes.
"""

from collections.abc import Callable
from typing import Any

import duckdb

from perfect_projector import replies
from perfect_projector.duck import Duck
from perfect_projector.flow_shelf import FlowShelf
from perfect_projector.merged_roll import MergedRolls
from perfect_projector.project import Draft
from perfect_projector.run_counts import RunCounts
from perfect_projector.shown_runs import ShownRuns
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now


class Front:
    """runs, rolls: for readers. outdated(): called when it has to be loaded anew."""

    def __init__(self) -> None:
        self.runs = ShownRuns()
        self.rolls = MergedRolls()
        self.outdated: Callable[[], None] = lambda: None
        self.seq = 0
        self._flows: FlowShelf | None = None
        self._counts: RunCounts | None = None

    def load(self, duck: Duck) -> None:
        """While nothing is committed. In the writer's thread."""
        cursor: duckdb.DuckDBPyConnection = duck.connection
        self._flows = FlowShelf.load(cursor)
        self._counts = RunCounts.load(cursor)
        self.seq = replies.offsets(cursor).get("EVENTS", 0)

    def note(self, draft: Draft) -> None:
        """After the commit of the batch."""
        self.seq = draft.batch.offsets.get("EVENTS", self.seq)
        self.runs.note(draft)
        for part in (self._flows, self._counts):
            if part is not None:
                part.note(draft)
                if not part.is_whole:
                    self.drop()

    def drop(self) -> None:
        """What is known may not be so any more: SQL answers until it is loaded anew."""
        if self._flows is not None:
            self._flows = self._counts = None
            self.outdated()

    def answer(self, query: Any) -> Any:
        """The answer as of `seq`, or None when it has to be asked of the file. Raises NotFound."""
        if self._flows is None or self._counts is None:
            return None
        match query:
            case q.FlowList(hidden=hidden):
                return self._flows.written(hidden=hidden)
            case q.Summary():
                return self._counts.summary(utc_now())
        return None

    def flow(self, query: q.FlowDetail | q.WholeFlow) -> Any:
        """The flow without its statistics, as of `seq`; None as `answer`. Raises NotFound."""
        return None if self._flows is None else replies.detailed(self._flows, query)
