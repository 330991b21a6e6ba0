"""Writes docs/command-line.md from the parsers of the commands. `--check` only says whether it is up to date (exit 1: no)."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from perfect_sdk.cli import help as topics
from perfect_sdk.cli.exits import MEANINGS
from perfect_sdk.cli.main import build, names

PAGE = Path(__file__).with_name("command-line.md")

HEAD = """\
# The command line

Generated from the parsers of the commands by `just docs`; do not edit. `perfect COMMAND --help` prints the same.

A command finds the running system by itself: by `--url`, `--data-dir`, `PERFECT_NATS_URL`, or the `.perfect` folder of the
working folder or one above it.

## What all have in common

"""
COMMON = {
    "--help": "",
    "--url": "`--url URL`: the system's web address (default: the running system)",
    "--data-dir": "`--data-dir PATH`: the data folder of the local system (default: .perfect)",
    "--json": "`--json`: print JSON, for programs",
    "--quiet": "`-q`, `--quiet`: print only what a script needs: ids, values",
}
COMPLETION = """\
`eval "$(perfect completion bash)"` in `~/.bashrc`, `eval "$(perfect completion zsh)"` in `~/.zshrc`, or `perfect completion
fish > ~/.config/fish/completions/perfect.fish` teach the shell to complete commands and options, the names of flows and
their parameters, runs and files.
"""


def page() -> str:
    parts = [HEAD, "Where a command says so, it takes also:\n\n"]
    parts += [f"- {text}\n" for text in COMMON.values() if text]
    parts.append(f"\n## Which run\n\n```text\n{topics.RUN_IDS}\n```\n")
    parts.append(f"\n## What is printed\n\n```text\n{topics.OUTPUT}\n```\n")
    parts.append("\n## Exit codes\n\n| code | meaning |\n|---|---|\n")
    parts += [f"| {code} | {_cell(meaning)} |\n" for code, meaning in MEANINGS.items()]
    parts.append(f"\n## Completion\n\n{COMPLETION}")
    for name in names():
        for prog, text, parser in _commands(build(name), name):
            parts.append(_section(prog, text, parser))
    return "".join(parts)


def _commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """The command `name` of `parser` and those below it: how it is called, its sentence, its parser."""
    for one, text, below in _below(parser):
        if one == name:
            yield f"perfect {name}", text, below
            for further, about, parser_below in _below(below):
                yield f"perfect {name} {further}", about, parser_below


def _below(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                yield choice.dest, choice.help or "", action.choices[choice.dest]


def _section(prog: str, text: str, parser: argparse.ArgumentParser) -> str:
    is_group = any(isinstance(action, argparse._SubParsersAction) for action in parser._actions)
    if is_group:
        return f"\n## {prog}\n\n{_sentence(text)}\n"
    level = "##" if prog.count(" ") == 1 else "###"
    said = [f"\n{level} {prog}\n\n{_sentence(parser.description or text)}\n"]
    actions = [action for action in parser._actions if action.help is not argparse.SUPPRESS]
    rows = [
        f"| {_name(action)} | {_meaning(action)} |\n"
        for action in sorted(actions, key=lambda action: bool(action.option_strings))
        if not set(COMMON) & set(action.option_strings)
    ]
    if rows:
        said += ["\n| argument | meaning |\n|---|---|\n", *rows]
    shared = [name for name in COMMON if name != "--help" and name in parser._option_string_actions]
    if shared:
        said.append(f"\nAlso {', '.join(f'`{name}`' for name in shared)}.\n")
    return "".join(said)


def _name(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return f"`{_cell(metavar)}`" + (" …" if action.nargs in ("+", "*") else "")
    value = "" if action.nargs == 0 else f" {metavar}"
    return ", ".join(f"`{_cell(name + value)}`" for name in action.option_strings)


def _meaning(action: argparse.Action) -> str:
    choices = ""
    if action.choices is not None and action.metavar is None:
        choices = ", ".join(f"`{one}`" for one in action.choices)
    return "; ".join(filter(None, (_cell((action.help or "").replace("%%", "%")), choices)))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    text = text.replace("%%", "%")
    return text[:1].upper() + text[1:].rstrip(".") + "."


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text() == page() else 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
