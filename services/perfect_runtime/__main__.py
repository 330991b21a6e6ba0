"""`python -m perfect_runtime up|service …`: the commands of this package, without the rest of the command line."""

import argparse
import sys

from perfect_runtime.cli import service, up


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="perfect_runtime")
    subparsers = parser.add_subparsers(required=True)
    up.register(subparsers)
    service.register(subparsers)
    parsed = parser.parse_args(arguments)
    return parsed.run(parsed)


if __name__ == "__main__":
    sys.exit(main())
