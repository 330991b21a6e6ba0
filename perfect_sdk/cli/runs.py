"""`perfect runs ls|show|watch|logs|cancel`; what sets runs going again is in `steering`, what compares them in `diff`."""

import argparse
from typing import Any

from perfect_sdk.cli import diff, steering
from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json, print_table, show_duration, show_percent, show_time
from perfect_sdk.cli.parameters import add_system

RESULT_CHARACTERS = 500
LOG_PAGE = 1000


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("runs", help="list, show, watch, cancel, resume, retry, fork runs")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    ls = commands.add_parser("ls", help="the newest runs")
    ls.add_argument("--flow", help="name or id")
    ls.add_argument("--state", action="append", default=[], help="may be given several times")
    ls.add_argument("--tag")
    ls.add_argument("--limit", type=int, default=20)
    add_system(ls)
    ls.set_defaults(run=list_runs)

    for name, function, text in (
        ("show", show, "one run with its tasks"),
        ("watch", watch_run, "follow a run; the exit code tells how it ended"),
        ("logs", logs, "the log lines of a run"),
        ("cancel", cancel, "end a run"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("run_id", metavar="RUN")
        if name == "logs":
            command.add_argument("--level", type=int, default=0, help="lowest level, as Python's number")
        add_system(command)
        command.set_defaults(run=function)
    steering.register(commands)
    diff.register(commands)


def list_runs(arguments: argparse.Namespace) -> int:
    runs = Gateway.of(arguments).get(
        "/api/engine/runs",
        flow=arguments.flow,
        state=[state.upper() for state in arguments.state],
        tag=arguments.tag,
        limit=arguments.limit,
    )
    if arguments.json:
        print_json(runs)
        return OK
    rows = [
        [
            run["id"],
            run["flow_name"],
            run["state"],
            show_percent(run["progress"]),
            show_time(run["start_time"]),
            show_duration(run["duration_ms"]),
        ]
        for run in runs
    ]
    print_table(["RUN", "FLOW", "STATE", "DONE", "STARTED", "TOOK"], rows, empty="no runs")
    return OK


def show(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    run = gateway.get(f"/api/engine/runs/{arguments.run_id}")
    tasks = gateway.get(f"/api/engine/runs/{arguments.run_id}/tasks", limit=1000)
    if arguments.json:
        print_json({**run, "tasks": tasks})
        return OK
    print(f"{run['flow_name']}  {run['state']}  {show_percent(run['progress'])}")
    for label, value in (
        ("run", run["id"]),
        ("version", run["flow_version"]),
        ("started", show_time(run["start_time"])),
        ("took", show_duration(run["duration_ms"])),
        ("parameters", _brief(run["parameters"] or None)),
        ("tags", ", ".join(run["tags"])),
        ("worker", run["client_name"]),
        ("waits", run["waiting_for"]),
        ("result", _brief(run.get("result"))),
    ):
        if value:
            print(f"  {label:<11}{value}")
    if run["error"]:
        print(run["error"].get("traceback") or run["error"]["message"])
    rows = [
        [
            task["name"],
            task["task_key"],
            task["state"],
            str(task["attempt"]),
            show_duration(task["duration_ms"]),
        ]
        for task in tasks
    ]
    print_table(["TASK", "KEY", "STATE", "TRY", "TOOK"], rows, empty="no tasks yet")
    return OK


def _brief(value: Any) -> str | None:
    """JSON on one line, its beginning when that is long (`--json` has all); None for no result."""
    if value is None:
        return None
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= RESULT_CHARACTERS else f"{text[:RESULT_CHARACTERS]}…"


def watch_run(arguments: argparse.Namespace) -> int:
    from perfect_sdk.cli.watching import watch

    run, code = watch(Gateway.of(arguments), arguments.run_id, quiet=arguments.json)
    if arguments.json:
        print_json(run)
    return code


def logs(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    cursor: str | None = None
    while True:
        page, cursor = gateway.page(
            f"/api/engine/runs/{arguments.run_id}/logs",
            limit=LOG_PAGE,
            level=arguments.level or None,
            cursor=cursor,
        )
        for line in page:
            if arguments.json:
                import json

                print(json.dumps(line, ensure_ascii=False))
            else:
                print(f"{show_time(line['at'])}  {line['level']:<8} {line['message']}")
        if cursor is None:
            return OK


def cancel(arguments: argparse.Namespace) -> int:
    answer = Gateway.of(arguments).post(f"/api/engine/runs/{arguments.run_id}/cancel")
    if arguments.json:
        print_json(answer)
    else:
        print(f"run {arguments.run_id} is being cancelled")
    return OK
