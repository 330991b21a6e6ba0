"""Do the rows of schedules say what their events say? The events in the log are folded afresh, by the same code as live."""

import json
from collections.abc import Callable, Iterable

from perfect_projector.batch import Row
from perfect_projector.schedule_row import DECISION, SCHEDULE, Schedules
from perfect_schemas import codec
from perfect_schemas.events import ScheduleCondensed, ScheduleCreated, ScheduleEvent


def rows_of(said: Iterable[tuple[int, str]]) -> list[Row]:
    """The rows of the schedules that these events of the log, each with its sequence, come to."""
    schedules, _, _ = _folded(said)
    return list(schedules.values())


def check(query: Callable[..., list[Row]], schedule_ids: list[str]) -> tuple[int, int, list[str]]:
    """Returns how many were compared, how many could not be because their log does not begin with them, and what differs,
    in sentences. query(name, …): the rows of a statement.
    """
    said = query("events_of_schedules", schedule_ids=schedule_ids)
    wanted, decided, began = _folded(said)
    rows = {row[0]: row for row in query("load_schedules")}
    kept: dict[str, dict[str, Row]] = {}
    for row in query("load_schedule_decisions", schedule_ids):
        kept.setdefault(row[1], {})[row[0]] = row
    differences: list[str] = []
    compared = 0
    for schedule_id in schedule_ids:
        if schedule_id not in began:
            continue
        compared += 1
        differences += _compare(
            f"schedule {schedule_id}", SCHEDULE, rows.get(schedule_id), wanted.get(schedule_id)
        )
        there = {key: row for key, row in kept.get(schedule_id, {}).items() if row[-1] >= began[schedule_id]}
        expected = decided.get(schedule_id, {})
        for key in there.keys() | expected.keys():
            what = f"decision {key} about schedule {schedule_id}"
            differences += _compare(what, DECISION, there.get(key), expected.get(key))
    return compared, len(schedule_ids) - compared, differences


def _folded(
    said: Iterable[tuple[int, str]],
) -> tuple[dict[str, Row], dict[str, dict[str, Row]], dict[str, int]]:
    """The rows of schedules, those of decisions by schedule, and where the log of each begins with all that it was."""
    schedules = Schedules()
    rows: dict[str, Row] = {}
    decided: dict[str, dict[str, Row]] = {}
    began: dict[str, int] = {}
    for seq, payload in said:
        text = json.loads(payload) if payload.startswith('"') else payload  # see `Duck.repair`
        event = codec.decode(text.encode(errors="surrogatepass"))
        if not isinstance(event, ScheduleEvent):
            continue
        if isinstance(event, ScheduleCreated | ScheduleCondensed):
            began.setdefault(event.schedule_id, seq)
        if event.schedule_id not in began:
            continue
        schedule, decision = schedules.fold(event, seq) or (None, None)
        if schedule is not None:
            rows[event.schedule_id] = schedule
        if decision is not None:
            decided.setdefault(event.schedule_id, {})[event.id] = decision
    return rows, decided, began


def _compare(what: str, names: tuple[str, ...], row: Row | None, wanted: Row | None) -> list[str]:
    if wanted is None:
        return [] if row is None else [f"{what} has a row, but no event speaks of it"]
    if row is None:
        return [f"{what} has no row"]
    return [
        f"{what}: {name} is {value!r}, its events say {said!r}"
        for name, value, said in zip(names, row, wanted, strict=True)
        if value != said
    ]
