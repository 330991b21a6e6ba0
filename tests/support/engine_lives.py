"""A run's life at a fixed time, for what is decided about it."""

from datetime import UTC, datetime

from perfect_engine.run import Stamp
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState as S

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = Stamp(now=NOW, event_id="e1")


def life(state=S.PAUSED, **fields):
    values = {
        "id": "r1", "flow_id": "f", "flow_name": "etl", "state": state, "created_at": NOW, "last_seq": 3, "epoch": 1,
    } | fields  # fmt: skip
    return RunLife(**values)


def paused_from_outside(**fields):
    return life(waits_for="input", wait_key="pausing-1", pausing_by="ann", **fields)
