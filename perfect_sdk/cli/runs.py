"""`perfect runs ls|show|watch|logs|cancel`; what sets runs going again is in `steering`, what compares them in `diff`."""

import argparse
import json
import sys
from typing import Any

from perfect_sdk.cli import diff, run_logs, run_reference, steering
from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.moment import moment
from perfect_sdk.cli.output import (
    print_done,
    print_json,
    print_list,
    print_table,
    show_duration,
    show_percent,
    show_run,
    show_time,
)
from perfect_sdk.cli.parameters import add_run, add_system
from perfect_sdk.cli.parser import at_least
from perfect_sdk.cli.suggestion import require_flow

RESULT_CHARACTERS = 500
PAGE = 1000
STATES = (
    "active", "problem",
    "scheduled", "pending", "running", "paused", "cancelling", "completed", "failed", "cancelled", "crashed",
)  # fmt: skip
CONFIGURATIONS = ("development", "debug", "release")


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "runs", help="list, show, watch, cancel, pause, resume, retry, fork, compare runs"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _register_ls(commands)
    for name, function, text in (
        ("show", show, "one run with its tasks"),
        ("watch", watch_run, "follow a run; the exit code tells how it ended"),
        ("cancel", cancel, "end a run"),
    ):
        command = commands.add_parser(name, help=text)
        add_run(command)
        add_system(command)
        command.set_defaults(run=function)
    run_logs.register(commands)
    steering.register(commands)
    diff.register(commands)


def _register_ls(commands: Any) -> None:
    ls = commands.add_parser("ls", help="runs, newest first")
    ls.add_argument("--flow", metavar="FLOW", help="name or id")
    ls.add_argument(
        "--state", action="append", default=[], type=str.lower, choices=STATES, metavar="STATE",
        help=f"{', '.join(STATES[2:])}; active: not ended; problem: failed or crashed; may be given several times",
    )  # fmt: skip
    ls.add_argument("--tag", help="runs that have this tag")
    ls.add_argument("--configuration", "--config", choices=CONFIGURATIONS, help="runs of this configuration")
    ls.add_argument("--text", help="in the name of the flow or run, or a tag; or how the id begins or ends")
    ls.add_argument(
        "--since", type=moment, metavar="TIME", help="2026-05-01, 09:30, today, or 30m, 2h, 1d ago"
    )
    ls.add_argument("--until", type=moment, metavar="TIME", help="as --since")
    ls.add_argument("--sort", choices=("start", "duration"), default="start", help="newest or longest first")
    ls.add_argument("--limit", type=at_least(1), default=20, metavar="N", help="at most N runs (20)")
    ls.add_argument("--all", action="store_true", help="all of them, however many")
    ls.add_argument("--cursor", metavar="CURSOR", help="go on where the page before ended")
    add_system(ls)
    ls.set_defaults(run=list_runs)


def list_runs(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    runs, following = _pages(gateway, arguments)
    if not runs:
        require_flow(gateway, arguments.flow)
    rows = [
        [
            show_run(run["id"]),
            run["flow_name"],
            run["state"],
            show_percent(run["progress"]),
            show_time(run["start_time"]),
            show_duration(run["duration_ms"]),
        ]
        for run in runs
    ]
    print_list(
        arguments,
        runs,
        key="id",
        head=["RUN", "FLOW", "STATE", "DONE", "STARTED", "TOOK"],
        rows=rows,
        empty="no runs" if _is_filtered(arguments) else "no runs yet: `perfect trigger FLOW` starts one",
        whole=("RUN", "STATE", "STARTED", "TOOK"),
    )
    if following is not None and not arguments.quiet:
        print(f"there are more: --limit, --all, or --cursor {following}", file=sys.stderr)
    return OK


def _pages(gateway: Gateway, arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], str | None]:
    """As many pages as are asked for, and the cursor of the next one."""
    runs: list[dict[str, Any]] = []
    cursor = arguments.cursor
    while True:
        left = PAGE if arguments.all else min(arguments.limit - len(runs), PAGE)
        page, cursor = gateway.page(
            "/api/engine/runs",
            flow=arguments.flow,
            state=[state if state in STATES[:2] else state.upper() for state in arguments.state],
            tag=arguments.tag,
            configuration=arguments.configuration,
            text=arguments.text,
            since=arguments.since,
            until=arguments.until,
            sort=None if arguments.sort == "start" else arguments.sort,
            limit=left,
            cursor=cursor,
        )
        runs += page
        if cursor is None or (not arguments.all and len(runs) >= arguments.limit):
            return runs, cursor


def _is_filtered(arguments: argparse.Namespace) -> bool:
    names = ("flow", "state", "tag", "configuration", "text", "since", "until", "cursor")
    return any(getattr(arguments, name) for name in names)


def show(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    run_id = run_reference.find(gateway, arguments.run_id)
    run = gateway.get(f"/api/engine/runs/{run_id}")
    if arguments.quiet and not arguments.json:
        print(run["state"])
        return OK
    tasks, cursor = gateway.page(f"/api/engine/runs/{run_id}/tasks", limit=PAGE)
    while cursor is not None:
        more, cursor = gateway.page(f"/api/engine/runs/{run_id}/tasks", limit=PAGE, cursor=cursor)
        tasks += more
    if arguments.json:
        print_json({**run, "tasks": tasks})
        return OK
    print(f"{run['flow_name']}  {run['state']}  {show_percent(run['progress'])}")
    warning = run.get("performance_warning") or {}
    for label, value in (
        ("run", run["id"]),
        ("name", run.get("name")),
        ("version", run["flow_version"]),
        ("started", show_time(run["start_time"])),
        ("took", show_duration(run["duration_ms"])),
        ("queued", show_duration(run["queued_ms"]) if run.get("queued_ms") else None),
        ("expected", f"done by {show_time(run['eta_p50'])}" if run.get("eta_p50") else None),
        ("parameters", _brief(run["parameters"] or None)),
        ("tags", ", ".join(run["tags"])),
        ("worker", run["client_name"]),
        ("waits", run["waiting_for"]),
        ("warning", warning.get("message")),
        ("result", _brief(run.get("result"))),
    ):
        if value:
            print(f"  {label:<11}{value}")
    if run["error"]:
        print(run["error"].get("traceback") or run["error"]["message"])
    rows = [
        [
            task.get("run_name") or task["name"],
            task["task_key"],
            task["state"],
            str(task["attempt"]),
            show_duration(task["duration_ms"]),
            (task.get("performance_warning") or {}).get("message", ""),
        ]
        for task in tasks
    ]
    print_table(
        ["TASK", "KEY", "STATE", "TRY", "TOOK", "WARNING"], rows, empty="no tasks yet", whole=("STATE",)
    )
    return OK


def _brief(value: Any) -> str | None:
    """JSON on one line, its beginning when that is long (`--json` has all); None for no result."""
    if value is None:
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= RESULT_CHARACTERS else f"{text[:RESULT_CHARACTERS]}…"


def watch_run(arguments: argparse.Namespace) -> int:
    from perfect_sdk.cli.watching import watch_as_asked

    gateway = Gateway.of(arguments)
    return watch_as_asked(gateway, run_reference.find(gateway, arguments.run_id), arguments)


def cancel(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    run_id = run_reference.find(gateway, arguments.run_id)
    answer = gateway.post(f"/api/engine/runs/{run_id}/cancel")
    return print_done(arguments, answer, f"run {run_id} is being cancelled")
