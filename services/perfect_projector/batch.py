"""What one transaction writes: rows as tuples, in the order of the columns of their statement.

Times in them are UTC.
"""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.folds.artifact import ArtifactLife

Row = tuple[Any, ...]


class Message(NamedTuple):
    """A message as it stands on a stream. stored_ns: when the server stored it, ns since 1970."""

    stream: str
    seq: int
    subject: str
    data: bytes
    stored_ns: int

    @property
    def month(self) -> str:
        """In which it was stored: YYYY_MM, UTC."""
        return month_of(self.stored_ns)


Decoded = list[tuple[Message, Event | UnknownEvent]]


class Batch(msgspec.Struct):
    """events, logs: rows by month. The others hold each key once; `new_…`: those that have no row in the file yet.

    artifacts: by id, (run id, what the batch says of it).
    again: runs that begin once more under an id that may have rows: these go first.
    offsets: stream → last sequence that this batch covers.
    """

    events: dict[str, list[Row]] = {}
    logs: dict[str, list[Row]] = {}
    again: list[str] = []
    new_runs: list[Row] = []
    runs: list[Row] = []
    new_task_runs: list[Row] = []
    task_runs: list[Row] = []
    flows: list[Row] = []
    tasks: list[Row] = []
    new_task_statistics: list[Row] = []
    task_statistics: list[Row] = []
    new_flow_statistics: list[Row] = []
    flow_statistics: list[Row] = []
    new_daily_statistics: list[Row] = []
    daily_statistics: list[Row] = []
    clients: list[Row] = []
    ended_clients: list[Row] = []
    artifacts: dict[str, tuple[str, ArtifactLife]] = {}
    schedules: list[Row] = []
    schedule_decisions: list[Row] = []
    offsets: dict[str, int] = {}


def columns(rows: list[Row]) -> list[list[Any]]:
    """Rows → one list a column, as `unnest(?)` takes them."""
    return [list(column) for column in zip(*rows, strict=True)]


_months: dict[int, str] = {}
_DAY_NS = 86_400 * 10**9


def month_of(stored_ns: int) -> str:
    day = stored_ns // _DAY_NS
    month = _months.get(day)
    if month is None:
        month = _months[day] = datetime.fromtimestamp(day * 86_400, tz=UTC).strftime("%Y_%m")
    return month
