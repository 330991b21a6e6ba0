"""The parser of every command: argparse, with errors that say what was probably meant."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from perfect_sdk.cli.exits import USAGE
from perfect_sdk.cli.suggestion import did_you_mean, nearest

_CHOICE = re.compile(r"invalid choice: '?(.*?)'? \(choose from (.*)\)$", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """Sub-parsers are of this class, too, since argparse makes them of their parent's."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's; the namespace says in `parser` which command's parser read it."""
        found, unknown = super().parse_known_args(args, namespace)
        if not hasattr(found, "parser"):  # the innermost one says it first
            found.parser = self
        return found, unknown

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            found.parser.refuse(unknown)
        return found

    def refuse(self, unknown: list[str]) -> NoReturn:
        """What nothing was done with: options that do not exist, or words too many."""
        options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        if not options:
            self.error(f"there is no place for {' '.join(map(repr, unknown))}")
        meant = nearest(options[0], [name for name in self._option_string_actions if name.startswith("--")])
        hint = f"; did you mean {meant}?" if meant else f"; `{self.prog} --help` lists the options"
        self.error(f"there is no option {options[0]}{hint}")

    def error(self, message: str) -> NoReturn:
        """Usage and one sentence on stderr; exit code 2."""
        wrong = _CHOICE.search(message)
        if wrong is not None:
            subject = message[: wrong.start()].removeprefix("argument ").removesuffix(": ")
            known = re.findall(r"[^\s,']+", wrong[2])
            what = "there is no command" if subject == "COMMAND" else f"{subject} cannot be"
            message = f"{what} {wrong[1]!r}{did_you_mean(wrong[1], known)}"
        self.print_usage(sys.stderr)
        self.exit(USAGE, f"{self.prog}: {message}\n")


def at_least(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number that is not smaller."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number
