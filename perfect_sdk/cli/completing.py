"""What may stand where the cursor is. Asked by the scripts of `perfect completion` with the words up to the cursor, the last
one being completed; the answer is a line each, a tab before what it means, or `__files__`.

What an argument takes is known by its metavar: RUN, FLOW, FILE, NAME=VALUE; so a new command is completed, too.
"""

import argparse
import contextlib
import io
from collections.abc import Callable, Iterable
from typing import Any

from perfect_sdk.cli.exits import OK
from perfect_sdk.cli.gateway import Gateway

FILES = "__files__"
RUNS = 50
PATHS = ("FILE", "FOLDER", "MODULE", "BACKUP")
Found = Iterable[tuple[str, str]]  # what may stand there, and what it means


def main(words: list[str]) -> int:
    """Never fails and says nothing on stderr: somebody is typing."""
    words = words[1:] if words[:1] == ["--"] else words
    with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
        for word, meaning in candidates(words or [""]):
            print(f"{word}\t{meaning}" if meaning else word)
    return OK


def candidates(words: list[str]) -> list[tuple[str, str]]:
    """For the last of `words`, which may be empty."""
    from perfect_sdk.cli.main import build

    *before, current = words
    parser: argparse.ArgumentParser = build(before[0] if before else "")
    given: dict[str, str] = {}
    pending: argparse.Action | None = None
    positionals = _positionals(parser)
    for word in before:
        if pending is not None:
            given[pending.dest], pending = word, None
        elif word.startswith("-") and len(word) > 1:
            name, equals, value = word.partition("=")
            action = parser._option_string_actions.get(name)
            if action is not None and equals:
                given[action.dest] = value
            elif action is not None and action.nargs != 0:
                pending = action
        elif positionals:
            action = positionals[0]
            if isinstance(action, argparse._SubParsersAction):
                if word not in action.choices:
                    return []
                parser = action.choices[word]
                positionals = _positionals(parser)
                continue
            given.setdefault(action.dest, word)
            if action.nargs not in ("*", "+"):
                positionals = positionals[1:]
    if pending is not None:
        found = _values(pending, current, given)
    elif current.startswith("-"):
        found = _options(parser)
    elif positionals:
        found = _values(positionals[0], current, given)
    else:
        found = _options(parser)
    return [(word, meaning) for word, meaning in found if word.startswith(current) or word == FILES]


def _positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _options(parser: argparse.ArgumentParser) -> Found:
    for action in parser._actions:
        long = [name for name in action.option_strings if name.startswith("--")]
        if action.option_strings and action.help is not argparse.SUPPRESS:
            yield (long or action.option_strings)[0], _plain(action.help)


def _values(action: argparse.Action, current: str, given: dict[str, str]) -> Found:
    if isinstance(action, argparse._SubParsersAction):
        return [(one.dest, _plain(one.help)) for one in action._choices_actions]
    if action.choices is not None:
        return [(str(one), "") for one in action.choices]
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.dest == "data_dir" or any(
        part in PATHS for part in metavar.replace(".", "|").replace(":", "|").split("|")
    ):
        return [(FILES, "")]
    source = SOURCES.get(metavar) or SOURCES.get(action.dest.upper())
    return source(_gateway(given), current, given) if source else ()


def _gateway(given: dict[str, str]) -> Gateway:
    return Gateway.of(argparse.Namespace(url=given.get("url"), data_dir=given.get("data_dir")))


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("%%", "%").split())


def _flows(gateway: Gateway, _: str, __: dict[str, str]) -> Found:
    return [
        (flow["name"], flow["description"].partition("\n")[0]) for flow in gateway.get("/api/engine/flows")
    ]


def _runs(gateway: Gateway, current: str, _: dict[str, str]) -> Found:
    """By their beginning, or, once it is one, by their end."""
    wanted = current if len(current) >= 6 and not current.startswith("@") else None
    found = gateway.get("/api/engine/runs", text=wanted, limit=RUNS)
    for run in found:
        meaning = f"{run['flow_name']} {run['state']}"
        yield run["id"], meaning
        if wanted and run["id"].endswith(wanted):
            yield wanted, meaning
    yield "@last", "the newest run"


def _parameters(gateway: Gateway, _: str, given: dict[str, str]) -> Found:
    if "flow" not in given:
        return []
    flow: Any = next(
        one for one in gateway.get("/api/engine/flows") if given["flow"] in (one["name"], one["id"])
    )
    return [
        (f"{name}=", schema.get("type", ""))
        for name, schema in flow["parameters"].get("properties", {}).items()
    ]


def _limits(gateway: Gateway, _: str, __: dict[str, str]) -> Found:
    return [(limit["name"], f"{limit['slots']} at once") for limit in gateway.get("/api/engine/limits")]


def _schedules(gateway: Gateway, _: str, __: dict[str, str]) -> Found:
    return [(f"{one['flow_name']}/{one['name']}", one["words"]) for one in gateway.get("/api/schedules")]


def _deployments(gateway: Gateway, _: str, __: dict[str, str]) -> Found:
    return [(f"{one['flow_name']}/{one['name']}", one["state"]) for one in gateway.get("/api/deployments")]


SOURCES: dict[str, Callable[[Gateway, str, dict[str, str]], Found]] = {
    "FLOW": _flows,
    "RUN": _runs,
    "A": _runs,
    "B": _runs,
    "NAME=VALUE": _parameters,
    "LIMIT": _limits,
    "SCHEDULE": _schedules,
    "DEPLOYMENT": _deployments,
}
