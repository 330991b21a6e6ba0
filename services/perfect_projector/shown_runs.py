"""Runs kept as they are shown: a page then takes a few narrow columns of its runs from the file.

DuckDB keeps columns apart, and a run has thirty: they are most of what a page costs. What is kept of a run is used only
when all that can change of it, read in the same transaction as the page itself, still is what it was (`Version`). Runs
that have ended are kept as JSON, the others as rows: when they will be done depends on the time.
"""

import random
import threading
from collections import OrderedDict
from typing import NamedTuple

import msgspec

from perfect_projector import view
from perfect_projector.batch import Row
from perfect_projector.project import Draft
from perfect_projector.run_replies import Cursor, curves, expected_ms, following, page, page_size
from perfect_projector.run_text import KnownTags
from perfect_projector.sql import select
from perfect_schemas import queries as q
from perfect_schemas.codec import encode
from perfect_schemas.states import FINAL_RUN_STATES
from perfect_schemas.views import RunView

MOST_BYTES = 8 << 20
MOST_ROWS = 1_000
COLUMNS = 29  # of a row of `runs`, without what is joined to it
_FINAL = frozenset(state.value for state in FINAL_RUN_STATES)
_EXPECTED_MS = random.SystemRandom().random()  # stands for it in what is kept: nothing else holds this number
_PLACE = f'"expected_ms":{_EXPECTED_MS!r}'.encode()


class Version(NamedTuple):
    """What tells that a run's row is another one: every event of the run, and what its tasks change of it."""

    last_seq: int
    state: str
    progress: float
    tasks_done: int
    tasks_total: int
    performance_warning: str | None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`queries.Runs`, with its runs as JSON."""

    runs: list[msgspec.Raw]
    next: str | None = None


class ShownRuns:
    """Used by all readers."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[Version, bytes, bytes]] = OrderedDict()
        self._bytes = 0
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._tags = KnownTags()
        self._lock = threading.Lock()

    def note(self, draft: Draft) -> None:
        """After a commit: these are the runs that are looked at next."""
        with self._lock:
            for rows in (draft.batch.runs, draft.batch.new_runs):
                for row in rows[-MOST_ROWS:]:
                    self._put(row)

    def page(self, cursor: Cursor, query: q.RunPage) -> Page:
        rows = page(cursor, "run_keys", query, self._tags)
        limit = page_size(query)
        usual = expected_ms(cursor, {row[4] for row in rows[:limit]})
        shown: list[msgspec.Raw | None] = []
        missing: dict[int, int] = {}  # rowid → place on the page
        bare: dict[int, Row] = {}  # place on the page → row
        for place, (rowid, run_id, _, _, flow_id, *rest) in enumerate(rows[:limit]):
            version = Version(*rest)
            shown.append(None)
            if version.state in _FINAL:
                if (kept := self._find(run_id, version)) is not None:
                    shown[place] = _whole(*kept, usual.get(flow_id))
                    continue
            elif (row := self._rows.get(run_id)) is not None and _version(row) == version:
                bare[place] = row
                continue
            missing[rowid] = place
        if missing:
            for rowid, *row in select(cursor, "runs_at", rowids=list(missing)):
                bare[missing[rowid]] = tuple(row)
        known = curves(cursor, {row[1] for row in bare.values() if row[5] == "RUNNING"})
        for place, row in bare.items():
            shown[place] = self._show(
                (*row, usual.get(row[1]), known.get(row[1]) if row[5] == "RUNNING" else None)
            )
        more = None
        if len(rows) > limit:
            _, run_id, created_at, duration_ms, *_ = rows[limit - 1]
            more = following(query, run_id, created_at, duration_ms)
        return Page(runs=shown, next=more)  # type: ignore[arg-type]

    def _find(self, run_id: str, version: Version) -> tuple[bytes, bytes] | None:
        """Of a run that has ended."""
        with self._lock:
            row = self._rows.pop(run_id, None)
            known = self._kept.get(run_id)
            if known is not None and known[0] == version:
                self._kept.move_to_end(run_id)
                return known[1:]
        if row is None or _version(row) != version:
            return None
        return self._keep(version, view.run_of((*row, None, None)))

    def _show(self, row: Row) -> msgspec.Raw:
        seen = view.run_of(row)
        if row[5] in _FINAL:
            self._keep(_version(row), seen)
        else:
            with self._lock:
                self._put(row[:COLUMNS])
        return msgspec.Raw(encode(seen))

    def _put(self, row: Row) -> None:
        self._rows[row[0]] = row
        self._rows.move_to_end(row[0])
        if len(self._rows) > MOST_ROWS:
            self._rows.popitem(last=False)

    def _keep(self, version: Version, seen: RunView) -> tuple[bytes, bytes]:
        before, _, after = encode(msgspec.structs.replace(seen, expected_ms=_EXPECTED_MS)).partition(_PLACE)
        size = len(before) + len(after)
        with self._lock:
            if (known := self._kept.pop(seen.id, None)) is not None:
                self._bytes -= len(known[1]) + len(known[2])
            self._kept[seen.id] = version, before, after
            self._bytes += size
            while self._bytes > self._most_bytes:
                _, (_, *old) = self._kept.popitem(last=False)
                self._bytes -= sum(map(len, old))
        return before, after


def _version(row: Row) -> Version:
    """Of a row of `runs`, with or without what is joined to it."""
    return Version(row[27], row[5], row[6], row[23], row[24], row[22])


def _whole(before: bytes, after: bytes, expected_ms: float | None) -> msgspec.Raw:
    return msgspec.Raw(b'%b"expected_ms":%b%b' % (before, encode(expected_ms), after))
