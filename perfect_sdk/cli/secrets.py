"""`perfect secrets ls|set|rm`: values that only running flows get. A value is never an argument, and never printed."""

import argparse
import getpass
import sys
from typing import Any
from urllib.parse import quote

from perfect_sdk.cli.exits import USAGE, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import print_done, print_list, show_time
from perfect_sdk.cli.parameters import add_system


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("secrets", help="list, save and remove secrets")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    ls = commands.add_parser("ls", help="the names of all secrets")
    add_system(ls)
    ls.set_defaults(run=list_secrets)
    one = commands.add_parser(
        "set",
        help="save a secret: asks for its value, or reads it from stdin",
        epilog="perfect secrets set database < password.txt",
    )
    one.add_argument("name", metavar="NAME")
    one.add_argument("--new", action="store_true", help="refuse when there is one of the name")
    add_system(one)
    one.set_defaults(run=save)
    one = commands.add_parser("rm", help="remove a secret")
    one.add_argument("name", metavar="NAME")
    add_system(one)
    one.set_defaults(run=remove)


def list_secrets(arguments: argparse.Namespace) -> int:
    secrets = Gateway.of(arguments).get("/api/secrets")
    return print_list(
        arguments,
        secrets,
        key="name",
        head=["SECRET", "SAVED"],
        rows=[[one["name"], show_time(one["saved_at"])] for one in secrets],
        empty="no secrets: `perfect secrets set NAME` saves one",
    )


def save(arguments: argparse.Namespace) -> int:
    gateway = Gateway.of(arguments)
    body = {"value": _value(arguments.name), "overwrite": not arguments.new}
    saved = gateway.put(_path(arguments.name), body)
    return print_done(arguments, saved, f"{saved['name']}: saved", value=saved["name"])


def remove(arguments: argparse.Namespace) -> int:
    Gateway.of(arguments).delete(_path(arguments.name))
    return print_done(arguments, {"name": arguments.name, "removed": True}, f"{arguments.name}: removed")


def _value(name: str) -> str:
    """From a person without showing it, otherwise all of stdin but for the end of its last line."""
    if sys.stdin.isatty():
        value = getpass.getpass(f"Value of {name}: ")
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not value:
        raise Exit(USAGE, f"secret {name!r} has no value: nothing was saved")
    return value


def _path(name: str) -> str:
    return f"/api/secrets/{quote(name, safe='')}"
