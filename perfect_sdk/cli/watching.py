"""Following a run to its end, from the event stream of the API."""

import sys
import time
from typing import Any

from perfect_schemas.states import FINAL_RUN_STATES
from perfect_sdk.cli.exits import FAILED, OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import show_duration

ENDS = {"run.completed", "run.failed", "run.cancelled", "run.crashed"}
SETTLE_S = 5.0  # how long the read model may be behind the stream


def watch(gateway: Gateway, run_id: str, *, quiet: bool = False) -> tuple[dict[str, Any], int]:
    """The run when it is final, and the exit code that says so: 0 for COMPLETED. Prints events as they come."""
    run = gateway.get(f"/api/engine/runs/{run_id}")
    if not quiet:
        print(f"{run['flow_name']} {run_id}: {run['state']}", flush=True)
    while run["state"] not in FINAL_RUN_STATES:
        _follow(gateway, run_id, quiet=quiet)
        run = _settled(gateway, run_id)
    if not quiet:
        _show_end(run)
    return run, OK if run["state"] == "COMPLETED" else FAILED


def _follow(gateway: Gateway, run_id: str, *, quiet: bool) -> None:
    """Returns when the run has ended, or the stream has (the caller looks and comes back).

    From the run's first event on: its end may already be on the stream while the read model does not know it yet.
    """
    with gateway.stream("/api/events", run_id=run_id, after="0.0") as events:
        for name, event in events:
            if name != "message":  # some of it may have left the streams: then the run itself tells
                if gateway.get(f"/api/engine/runs/{run_id}")["state"] in FINAL_RUN_STATES:
                    return
                continue
            if not quiet:
                _show(event)
            if event.get("type") in ENDS:
                return


def _settled(gateway: Gateway, run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + SETTLE_S
    while True:
        run = gateway.get(f"/api/engine/runs/{run_id}")
        if run["state"] in FINAL_RUN_STATES or time.monotonic() > deadline:
            return run
        time.sleep(0.05)


def _show(event: dict[str, Any]) -> None:
    kind = event.get("type", "")
    if kind == "log.written":
        for line in event.get("lines", []):
            print(f"  {line.get('message', '')}", flush=True)
    elif kind == "task.completed":
        print(f"✓ {event.get('name')}  {show_duration(event.get('duration_ms'))}", flush=True)
    elif kind == "task.failed":
        print(f"✗ {event.get('name')}  {event.get('error', {}).get('message', '')}", flush=True)
    elif kind == "task.retrying":
        print(f"↻ {event.get('name')}  {event.get('error', {}).get('message', '')}", flush=True)
    elif kind.startswith("run.") and kind not in ENDS:
        print(f"· {kind.removeprefix('run.')}", flush=True)


def _show_end(run: dict[str, Any]) -> None:
    print(f"{run['state']} in {show_duration(run.get('duration_ms'))}")
    error = run.get("error")
    if error:
        print(error.get("traceback") or error.get("message", ""), file=sys.stderr)
