"""`perfect schedules ls|show|create|pause|resume|rm|preview|backfill`: when flows run by themselves."""

import argparse
from typing import Any

from perfect_sdk.cli import schedule_making
from perfect_sdk.cli.exits import FAILED, OK, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.moment import moment
from perfect_sdk.cli.output import (
    print_done,
    print_json,
    print_list,
    print_table,
    show_duration,
    show_run,
    show_time,
)
from perfect_sdk.cli.parameters import add_system
from perfect_sdk.cli.parser import at_least
from perfect_sdk.cli.schedule_making import print_coming
from perfect_sdk.cli.suggestion import did_you_mean, require_flow

PATH = "/api/schedules"
COMING = 5
DECISIONS = 10
SCHEDULE_HELP = "id, FLOW/NAME, or the flow alone when it has only one"


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("schedules", help="list, make, pause, preview and backfill schedules")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="all schedules, with what comes and what was decided last")
    ls.add_argument("--flow", metavar="FLOW", help="only those of this flow")
    ls.add_argument("--state", choices=("active", "paused", "over"))
    add_system(ls)
    ls.set_defaults(run=list_schedules)
    _one(commands, "show", show, "one schedule: what comes, what was decided")
    schedule_making.register(commands)
    _one(commands, "pause", pause, "let nothing fire until it is resumed")
    _one(commands, "resume", resume, "let it fire again; what it missed is not caught up on")
    _one(commands, "rm", remove, "remove a schedule; its runs and its history stay")
    preview = _one(commands, "preview", show_coming, "the next instants, marked where clocks change")
    preview.add_argument("-n", type=at_least(1), default=10, help="how many (default 10)")
    preview.add_argument("--after", type=moment, metavar="TIME", help="those after it, instead of after now")
    backfill = _one(
        commands, "backfill", run_backfill, "start a run for each instant of a range that has none"
    )
    backfill.add_argument(
        "--since", type=moment, required=True, metavar="TIME", help="2026-05-01, 7d, yesterday …"
    )
    backfill.add_argument(
        "--until", type=moment, default="now", metavar="TIME", help="not included (default: now)"
    )
    backfill.add_argument("--dry-run", action="store_true", help="just say which")


def _one(commands: Any, verb: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(verb, help=text)
    parser.add_argument("schedule", metavar="SCHEDULE", help=SCHEDULE_HELP)
    add_system(parser)
    parser.set_defaults(run=run)
    return parser


def find(gateway: Gateway, wanted: str) -> dict[str, Any]:
    """Raises Exit for none, or several."""
    known = gateway.get(PATH)
    named = [one for one in known if wanted in (one["id"], _name(one))]
    found = named or [one for one in known if one["flow_name"] == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise Exit(FAILED, f"flow {wanted!r} has several schedules: {', '.join(map(_name, found))}")
    hint = (
        did_you_mean(wanted, [_name(one) for one in known]) or ": `perfect schedules create FLOW` makes one"
    )
    raise Exit(FAILED, f"there is no schedule {wanted!r}{hint}")


def list_schedules(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    found = gateway.get(PATH, flow=arguments.flow, state=arguments.state)
    if not found:
        require_flow(gateway, arguments.flow)
    rows = [
        [_name(one), one["state"], one["words"], show_time(one["next_at"]), _last(one["last_decision"])]
        for one in found
    ]
    return print_list(
        arguments,
        found,
        key="id",
        head=["SCHEDULE", "STATE", "WHEN", "NEXT", "LAST"],
        rows=rows,
        empty="no schedules: `perfect schedules create FLOW --cron '30 2 * * *'` makes one",
        whole=("SCHEDULE", "STATE", "NEXT"),
    )


def show(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    one = find(gateway, arguments.schedule)
    if arguments.quiet:
        print(one["id"])
        return OK
    coming = gateway.get(f"{PATH}/{one['id']}/next", n=COMING)
    decided = gateway.get(f"{PATH}/{one['id']}/decisions", limit=DECISIONS)
    if arguments.json:
        print_json({**one, "next": coming, "decisions": decided})
        return OK
    by = f" by {one['paused_by']}" if one["paused_by"] else ""
    print(f"{_name(one)}  {one['words']}")
    print(f"  id  {one['id']}")
    print(f"  state  {one['state']}{by}")
    print(f"  rule  {one['text']}, made by {one['made_by']}")
    spec = one["spec"]
    for name in (
        "jitter_ms",
        "catchup",
        "max_lateness_ms",
        "overlap",
        "parameters",
        "configuration",
        "tags",
        "deployment",
    ):
        if name in spec:
            print(f"  {name}  {spec[name]}")
    print(f"  fired  {one['fired']}, skipped {one['skipped']}\n")
    print_coming(coming)
    print()
    print_table(
        ["INSTANT", "DECISION", "LATE", "RUN OR REASON"],
        [[show_time(row["at_instant"]), row["decision"], _late(row), _why(row)] for row in decided],
        empty="nothing was decided yet",
        whole=("INSTANT", "DECISION"),
    )
    return OK


def pause(arguments: argparse.Namespace) -> int:
    return _turn(arguments, "pause", "is paused: nothing fires until `perfect schedules resume`")


def resume(arguments: argparse.Namespace) -> int:
    return _turn(arguments, "resume", "fires again")


def _turn(arguments: argparse.Namespace, verb: str, text: str) -> int:
    gateway = Gateway.of(arguments)
    one = gateway.post(f"{PATH}/{find(gateway, arguments.schedule)['id']}/{verb}")
    coming = f", next at {show_time(one['next_at'])}" if one["next_at"] else ""
    return print_done(arguments, one, f"{_name(one)} {text}{coming}", value=one["id"])


def remove(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    one = find(gateway, arguments.schedule)
    gateway.delete(f"{PATH}/{one['id']}")
    removed = {"id": one["id"], "schedule": _name(one), "removed": True}
    return print_done(arguments, removed, f"{_name(one)} is removed; its runs and its history stay")


def show_coming(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    one = find(gateway, arguments.schedule)
    coming = gateway.get(f"{PATH}/{one['id']}/next", n=arguments.n, after=arguments.after)
    if arguments.json:
        print_json(coming)
    elif arguments.quiet:
        for instant in coming:
            print(instant["at"])
    else:
        print(f"{_name(one)}  {one['words']}{'  (paused)' if one['paused'] else ''}\n")
        print_coming(coming)
    return OK


def run_backfill(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    one = find(gateway, arguments.schedule)
    body = {"since": arguments.since, "until": arguments.until, "dry_run": arguments.dry_run}
    done = gateway.post(f"{PATH}/{one['id']}/backfill", body)
    if arguments.json:
        print_json(done)
        return OK
    if arguments.quiet:
        for instant in done["instants"]:
            print(instant["run_id"])
        return OK
    print_table(
        ["INSTANT", "RUN", ""],
        [
            [show_time(row["at_instant"]), show_run(row["run_id"]), "" if row["new"] else "was there already"]
            for row in done["instants"]
        ],
        empty=f"{_name(one)} has no instant in that range",
        whole=("INSTANT", "RUN"),
    )
    count = f"{done['started']:,} {'run' if done['started'] == 1 else 'runs'}"
    print(f"\n{count} would be started" if done["dry_run"] else f"\n{count} started")
    return OK


def _name(one: dict[str, Any]) -> str:
    return f"{one['flow_name']}/{one['name']}"


def _last(decision: dict[str, Any] | None) -> str:
    if decision is None:
        return "–"
    late = f", {show_duration(decision['late_ms'])} late" if decision["late_ms"] is not None else ""
    return f"{decision['decision']} {show_time(decision['at_instant'])}{'' if decision['backfill'] else late}"


def _late(decision: dict[str, Any]) -> str:
    return "–" if decision["backfill"] else show_duration(decision["late_ms"])


def _why(decision: dict[str, Any]) -> str:
    if decision["decision"] == "fired":
        return show_run(decision["run_id"]) + (" (backfill)" if decision["backfill"] else "")
    many = f"{decision['count']:,} instants: " if decision["count"] > 1 else ""
    waits = f"waits for {show_run(decision['run_id'])}" if decision["run_id"] else ""
    return many + (decision["detail"] or decision["reason"] or waits)
