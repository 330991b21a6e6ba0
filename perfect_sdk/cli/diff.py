"""`perfect runs diff A B`: what is different in the second run, and what made it longer or shorter."""

import argparse
import json
from typing import Any

from perfect_sdk.cli import run_reference
from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_json, print_table, show_duration, show_time
from perfect_sdk.cli.parameters import add_system

PREVIOUS = "previous"
VALUE_CHARACTERS = 60
TASKS_SHOWN = 40
NOTHING_MS = 1.0
HALF = 0.5


def register(commands: Any) -> None:
    """Into the commands of `perfect runs`."""
    one = commands.add_parser("diff", help="two runs compared: parameters, version, durations task by task")
    one.add_argument(
        "a", metavar="A", help="a run, or `previous`: the last run of the same flow before B that completed"
    )
    one.add_argument("b", metavar="B", help="the run that is compared with it")
    add_system(one)
    one.set_defaults(run=diff)


def diff(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    a_id = PREVIOUS if arguments.a == PREVIOUS else run_reference.find(gateway, arguments.a)
    b_id = run_reference.find(gateway, arguments.b)
    found = gateway.get(f"/api/engine/runs/{a_id}/diff/{b_id}")
    if arguments.json:
        print_json(found)
        return OK
    a, b = found["a"], found["b"]
    rows = [
        ["run", a["id"], b["id"]],
        ["started", show_time(a["start_time"]), show_time(b["start_time"])],
        ["duration", show_duration(a["duration_ms"]), _with_change(b["duration_ms"], found["delta_ms"])],
        ["queued", show_duration(a["queued_ms"]), show_duration(b["queued_ms"])],
    ]
    rows += [[fact["name"], _short(fact["a"] or "–"), _short(fact["b"] or "–")] for fact in found["facts"]]
    rows += [[f"-p {one['path']}", _value(one, "a"), _value(one, "b")] for one in found["parameters"]]
    print_table(["", "A", "B"], rows, empty="")
    if found["parameters_left_out"]:
        print(f"… and {found['parameters_left_out']} more differences of parameters")
    if not found["facts"] and not found["parameters"]:
        print("parameters, code version, configuration, client and outcome are the same")
    _print_causes(found)
    _print_tasks(found["tasks"])
    return OK


def _print_causes(found: dict[str, Any]) -> None:
    if not found["explained_by"]:
        return
    delta, shares = found["delta_ms"], sum(cause["share"] for cause in found["explained_by"])
    how = "longer" if delta > 0 else "shorter"
    much = "Most of it" if shares > HALF else "Of it"
    print(f"\nB took {show_duration(abs(delta))} {how}. {much} is due to:")
    rows = [
        [f"  {cause['name']}", show_duration(cause["a_ms"]), show_duration(cause["b_ms"]),
         _signed(cause["delta_ms"]), f"{cause['share'] * 100:.0f} %"]
        for cause in found["explained_by"]
    ]  # fmt: skip
    print_table(["  TASK", "A", "B", "DIFFERENCE", "SHARE"], rows, empty="")


def _print_tasks(tasks: list[dict[str, Any]]) -> None:
    """In their order; of very many, those that differ most."""

    def rank(place: int) -> tuple[bool, float]:
        return bool(tasks[place]["a_state"] and tasks[place]["b_state"]), -abs(tasks[place]["delta_ms"] or 0)

    places = sorted(sorted(range(len(tasks)), key=rank)[:TASKS_SHOWN])
    rows = []
    for task in (tasks[place] for place in places):
        sides = [
            "not there"
            if state is None
            else f"{'' if state == 'COMPLETED' else state.lower() + ' '}{show_duration(ms)}"
            for state, ms in ((task["a_state"], task["a_ms"]), (task["b_state"], task["b_ms"]))
        ]
        rows.append([task["task_key"], *sides, _signed(task["delta_ms"])])
    print()
    print_table(["TASK", "A", "B", "DIFFERENCE"], rows, empty="neither run called a task")
    if len(tasks) > len(places):
        print(f"… and {len(tasks) - len(places)} more that differ less; --json has all")


def _signed(ms: float | None) -> str:
    if ms is None:
        return "–"
    if abs(ms) < NOTHING_MS:
        return "±0"
    return f"{'+' if ms > 0 else '-'}{show_duration(abs(ms))}"


def _with_change(ms: float | None, delta_ms: float | None) -> str:
    return show_duration(ms) if delta_ms is None else f"{show_duration(ms)} ({_signed(delta_ms)})"


def _value(difference: dict[str, Any], side: str) -> str:
    if difference.get("only_in", side) != side:
        return "not there"
    return _short(json.dumps(difference.get(side), ensure_ascii=False))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= VALUE_CHARACTERS else f"{line[:VALUE_CHARACTERS]}…"
