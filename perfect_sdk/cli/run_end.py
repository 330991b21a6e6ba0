"""The end of a run: how it shows on the stream, and what the read model has of it then."""

import time
from collections.abc import Iterator
from typing import Any

from perfect_schemas.states import FINAL_RUN_STATES
from perfect_schemas.views import LEVELS
from perfect_sdk.cli.gateway import Gateway

ENDS = frozenset({"run.completed", "run.failed", "run.cancelled", "run.crashed"})
SETTLE_S = 5.0  # how long the read model may be behind the stream
PAGE = 1000
NUMBERS = {name: number for number, name in LEVELS.items()}


def settled(gateway: Gateway, run_id: str) -> dict[str, Any]:
    """The run, once the read model knows of its end, or does not for too long."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        run = gateway.get(f"/api/engine/runs/{run_id}")
        if run["state"] in FINAL_RUN_STATES or time.monotonic() > deadline:
            return run
        time.sleep(0.05)


def lines(gateway: Gateway, run_id: str, **query: Any) -> Iterator[dict[str, Any]]:
    """The run's log lines in the read model, page by page."""
    cursor: str | None = None
    while True:
        page, cursor = gateway.page(f"/api/engine/runs/{run_id}/logs", limit=PAGE, cursor=cursor, **query)
        yield from page
        if cursor is None:
            return


def lines_behind(gateway: Gateway, run_id: str, seq: int, **query: Any) -> Iterator[dict[str, Any]]:
    """Those that were stored after the sequence `seq` of LOGS: the stream may tell of a run's end before them, although
    they were stored before it.
    """
    for line in lines(gateway, run_id, **query):
        if line["seq"] > seq:
            yield line
