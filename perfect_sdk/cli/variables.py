"""`perfect variables ls|get|set|rm`: values that flows read by name."""

import argparse
import json
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done, print_json, print_list, show_time
from perfect_sdk.cli.parameters import add_system

SHOWN_CHARS = 60


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("variables", help="list, show, set and remove variables")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="all variables")
    add_system(ls)
    ls.set_defaults(run=list_variables)
    one = commands.add_parser("get", help="print the value of a variable")
    one.add_argument("name", metavar="NAME")
    add_system(one)
    one.set_defaults(run=get_variable)
    one = commands.add_parser("set", help="set a variable: JSON, or text where it is none")
    one.add_argument("name", metavar="NAME")
    one.add_argument("value", metavar="VALUE", help='500, true, {"a": 1} … or any text')
    one.add_argument("--tag", action="append", default=[], metavar="TAG")
    one.add_argument(
        "--text", action="store_true", help="take the value as text, also when it looks like JSON"
    )
    one.add_argument("--new", action="store_true", help="refuse when there is one already")
    add_system(one)
    one.set_defaults(run=set_variable)
    one = commands.add_parser("rm", help="remove a variable")
    one.add_argument("name", metavar="NAME")
    add_system(one)
    one.set_defaults(run=remove)


def list_variables(arguments: argparse.Namespace) -> int:
    variables = Gateway.of(arguments).get("/api/variables")
    rows = [
        [one["name"], _short(one["value"]), ", ".join(one["tags"]), show_time(one["updated_at"])]
        for one in variables
    ]
    return print_list(
        arguments,
        variables,
        key="name",
        head=["VARIABLE", "VALUE", "TAGS", "SET"],
        rows=rows,
        empty="no variables: `perfect variables set NAME VALUE` sets one",
    )


def get_variable(arguments: argparse.Namespace) -> int:
    variable = Gateway.of(arguments).get(_path(arguments.name))
    if arguments.json:
        print_json(variable)
    else:
        value = variable["value"]
        print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return OK


def set_variable(arguments: argparse.Namespace) -> int:
    body = {"value": _value(arguments), "tags": arguments.tag, "overwrite": not arguments.new}
    variable = Gateway.of(arguments).put(_path(arguments.name), body)
    shown = _short(variable["value"])
    return print_done(arguments, variable, f"{variable['name']}: {shown}", value=variable["name"])


def remove(arguments: argparse.Namespace) -> int:
    Gateway.of(arguments).delete(_path(arguments.name))
    return print_done(arguments, {"name": arguments.name, "removed": True}, f"{arguments.name}: removed")


def _value(arguments: argparse.Namespace) -> Any:
    if arguments.text:
        return arguments.value
    try:
        return json.loads(arguments.value)
    except ValueError:
        return arguments.value


def _short(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= SHOWN_CHARS else f"{shown[: SHOWN_CHARS - 1]}…"


def _path(name: str) -> str:
    return f"/api/variables/{quote(name, safe='')}"
