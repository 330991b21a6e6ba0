"""`perfect config`: every setting, its value, and where it came from."""

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.output import print_json, print_table


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("config", help="print every setting and where it came from")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from perfect_bus.settings import Settings

    settings, origin = Settings.load_with_origin(overrides={"data_dir": arguments.data_dir})
    values = {name: shown(getattr(settings, name)) for name in origin}
    if arguments.json:
        print_json({name: {"value": values[name], "origin": origin[name]} for name in origin})
        return OK
    rows = [[name, "–" if values[name] is None else str(values[name]), origin[name]] for name in origin]
    print_table(["SETTING", "VALUE", "FROM"], rows, empty="")
    return OK


def shown(value: Any) -> Any:
    """As JSON, without the password of a URL."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str) and "://" in value and urlsplit(value).password:
        parts = urlsplit(value)
        return value.replace(f":{parts.password}@", ":***@", 1)
    return value
