"""Following a run to its end, from the event stream of the API."""

import argparse
import json
import sys
from typing import Any, Protocol

from perfect_schemas.states import FINAL_RUN_STATES
from perfect_sdk.cli.exits import FAILED, INTERRUPTED, OK, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import is_terminal, print_json, show_duration
from perfect_sdk.cli.run_end import ENDS, NUMBERS, lines_behind, settled

SIGNALS = ("resync", "ping")
BEGINNING = "0.0"
RESULT_CHARACTERS = 500


class Screen(Protocol):
    """Where somebody watches."""

    def begin(self, run: dict[str, Any]) -> None: ...

    def hear(self, event: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Nobody looks: a script wants to know the end."""

    def begin(self, run: dict[str, Any]) -> None:
        pass

    def hear(self, event: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


class Lines(Silent):
    """A line for each thing that happens, for pipes and for terminals without rich."""

    def begin(self, run: dict[str, Any]) -> None:
        print(f"{run['flow_name']} {run['id']}: {run['state']}", flush=True)

    def hear(self, event: dict[str, Any]) -> None:
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
        elif kind.startswith("performance."):
            print(f"! {event.get('message', '')}", flush=True)
        elif kind.startswith("run.") and kind not in ENDS:
            print(f"· {kind.removeprefix('run.')}", flush=True)


def watch_as_asked(
    gateway: Gateway, run_id: str, arguments: argparse.Namespace, *, after: str = BEGINNING
) -> int:
    """With --json the run when it has ended, with --quiet nothing, else as it goes. The exit code says how it ended."""
    is_silent = arguments.json or arguments.quiet
    run, code = watch(gateway, run_id, Silent() if is_silent else _screen(gateway), after)
    if arguments.json:
        print_json(run)
    elif not is_silent:
        _show_end(run)
    return code


def _screen(gateway: Gateway) -> Screen:
    if is_terminal():
        try:
            from perfect_sdk.cli.live_screen import LiveScreen
        except ImportError:  # rich comes with [server]
            return Lines()
        return LiveScreen(gateway)
    return Lines()


def watch(
    gateway: Gateway, run_id: str, screen: Screen, after: str = BEGINNING
) -> tuple[dict[str, Any], int]:
    """The run when it is final, and the exit code that says so: 0 for COMPLETED. Raises Exit on Ctrl-C.

    A run that has ended already is shown as well, as far as the streams still have it. after: a position of the streams
    before its first event.
    """
    run = gateway.get(f"/api/engine/runs/{run_id}")
    try:
        screen.begin(run)
        while True:
            seq = _follow(gateway, run_id, screen, after)
            run = settled(gateway, run_id)
            if run["state"] in FINAL_RUN_STATES:
                break
        rest = [{**line, "level": NUMBERS[line["level"]]} for line in lines_behind(gateway, run_id, seq)]
        if rest:
            screen.hear({"type": "log.written", "lines": rest})
    except KeyboardInterrupt:
        screen.close()
        raise Exit(
            INTERRUPTED, f"not watched any more; the run goes on. To end it: perfect runs cancel {run_id}"
        ) from None
    finally:
        screen.close()
    return run, OK if run["state"] == "COMPLETED" else FAILED


def _follow(gateway: Gateway, run_id: str, screen: Screen, after: str) -> int:
    """Returns when the run has ended, or the stream has (the caller looks and comes back): up to which sequence of LOGS its
    lines were shown.

    From the run's first event on: its end may already be on the stream while the read model does not know it yet.
    """
    seq = 0
    with gateway.stream("/api/events", run_id=run_id, after=after) as events:
        for message in events:
            if message.name in SIGNALS:  # some of it may have left the streams: then the run itself tells
                if gateway.get(f"/api/engine/runs/{run_id}")["state"] in FINAL_RUN_STATES:
                    break
            elif message.name == "message":
                screen.hear(message.data)
                if message.data.get("type") == "log.written":
                    seq = message.sequences[1]
                if message.data.get("type") in ENDS:
                    break
    return seq


def _show_end(run: dict[str, Any]) -> None:
    print(f"{run['state']} in {show_duration(run.get('duration_ms'))}")
    if run.get("result") is not None:
        text = json.dumps(run["result"], ensure_ascii=False)
        print(f"result: {text if len(text) <= RESULT_CHARACTERS else f'{text[:RESULT_CHARACTERS]}…'}")
    error = run.get("error")
    if error:
        print(error.get("traceback") or error.get("message", ""), file=sys.stderr)
