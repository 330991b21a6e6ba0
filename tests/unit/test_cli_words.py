"""What people write on the command line: times, runs, wrong words, and the words that the shell completes."""

import argparse
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from perfect_sdk.cli import completing, main, run_reference
from perfect_sdk.cli.completion import SCRIPTS
from perfect_sdk.cli.exits import FAILED, MEANINGS, OK, USAGE, Exit
from perfect_sdk.cli.main import build, names
from perfect_sdk.cli.moment import coming, moment, span
from perfect_sdk.cli.output import fitted, print_done, print_list, show_run
from perfect_sdk.cli.suggestion import did_you_mean, nearest

ROME = timezone(timedelta(hours=2))
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=ROME)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2h", "2026-05-01T10:00:00+02:00"),
        ("1h30m", "2026-05-01T10:30:00+02:00"),
        ("1d ago", "2026-04-30T12:00:00+02:00"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00+00:00"),
    ],
)
def test_moments_of_the_past(text: str, meant: str) -> None:
    assert datetime.fromisoformat(moment(text, NOW)) == datetime.fromisoformat(meant)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", "2026-05-01T00:00:00"),
        ("yesterday", "2026-04-30T00:00:00"),
        ("9:30", "2026-05-01T09:30:00"),
        ("09:30:15", "2026-05-01T09:30:15"),
        ("2026-01-01", "2026-01-01T00:00:00"),
    ],
)
def test_moments_without_a_zone_are_of_this_machine(text: str, meant: str) -> None:
    assert datetime.fromisoformat(moment(text, NOW)) == datetime.fromisoformat(meant).astimezone()


def test_moments_of_the_future() -> None:
    for text in ("2h", "+2h", "in 2h"):
        assert datetime.fromisoformat(coming(text, NOW)) == NOW + timedelta(hours=2)
    assert datetime.fromisoformat(moment("2026-01-01T10:00")).tzinfo is not None


@pytest.mark.parametrize("text", ["", "gestern", "2x", "2h!", "25:00", "2026-13-01"])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    assert span(text) is None
    with pytest.raises(argparse.ArgumentTypeError, match="2026-05-01"):
        moment(text, NOW)


def test_the_nearest_name() -> None:
    flows = ["ETL nightly", "etl", "Digits"]
    assert nearest("elt", flows) == "etl"
    assert nearest("DIGIT", flows) == "Digits"
    assert nearest("weather", flows) is None
    assert did_you_mean("elt", flows) == "; did you mean 'etl'?"
    assert did_you_mean("weather", flows) == "; there are: ETL nightly, etl, Digits"
    assert did_you_mean("weather", []) == ""
    assert did_you_mean("x", [f"flow {n}" for n in range(20)]).endswith("flow 7 and 12 more")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnus", "ls"], "there is no command 'rnus'; did you mean 'runs'?"),
        (["runs", "shwo", "x"], "there is no command 'shwo'; did you mean 'show'?"),
        (["runs", "ls", "--sate", "x"], "there is no option --sate; did you mean --state?"),
        (["runs", "ls", "--xyzzy"], "`perfect runs ls --help` lists the options"),
        (["runs", "ls", "--state", "runing"], "did you mean 'running'?"),
        (["runs", "ls", "--limit", "0"], "0 is less than 1"),
        (["runs", "ls", "--limit", "many"], "'many' is not a whole number"),
        (["runs", "ls", "--since", "gestern"], "'gestern' is no time"),
        (["runs", "logs", "x", "--level", "loud"], "'loud' is no level"),
        (["runs", "show", "a", "b"], "there is no place for 'b'"),
        (["trigger", "etl", "--wach"], "did you mean --watch?"),
        (["doctor", "--sampel", "3"], "did you mean --sample?"),
        (["help", "exitcodes"], "did you mean 'exit-codes'?"),
    ],
)
def test_wrong_words_are_answered_with_the_right_ones(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == USAGE
    assert said in capsys.readouterr().err


def test_help_topics(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "exit-codes"]) == OK
    text = capsys.readouterr().out
    assert all(f"{code}  {meaning}" in text for code, meaning in MEANINGS.items())
    assert main(["help", "runs", "ls"]) == OK
    assert "usage: perfect runs ls" in capsys.readouterr().out
    assert main(["help"]) == OK
    assert "exit-codes" in capsys.readouterr().out


def test_every_command_has_help_and_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    for name in names():
        assert main([name, "--help"]) == OK
        assert f"usage: perfect {name}" in capsys.readouterr().out


def test_every_command_that_asks_the_system_speaks_json() -> None:
    """Those that serve until they are stopped, and those that print a text by nature, do not."""
    texts = {"up", "service", "demo", "worker", "help", "completion"}

    def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
        below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not below:
            return [parser]
        return [leaf for action in below for choice in action.choices.values() for leaf in leaves(choice)]

    without = {
        leaf.prog
        for name in names()
        if name not in texts
        for leaf in leaves(build(name))
        if "--json" not in leaf._option_string_actions
    }
    assert without == set()


# -- which run

ONE = {
    "id": "0193a0a0-0000-7000-8000-aaaaaa000001",
    "flow_name": "etl",
    "state": "FAILED",
    "start_time": None,
}
TWO = {
    "id": "0193a0a0-0000-7000-8000-bbbbbb000001",
    "flow_name": "etl",
    "state": "RUNNING",
    "start_time": None,
}


class Listed:
    """Stands for the one question that is asked of the gateway: which runs have this text in them?"""

    def __init__(self, *runs: dict[str, object]) -> None:
        self.runs = runs
        self.asked: list[dict[str, object]] = []

    def get(self, path: str, **query: object) -> list[dict[str, object]]:
        assert path == "/api/engine/runs"
        self.asked.append(query)
        text = str(query.get("text", ""))
        return [run for run in self.runs if text in str(run["id"])]


def test_a_run_is_found_by_what_is_unique_of_its_id() -> None:
    listed = Listed(ONE, TWO)
    assert run_reference.find(listed, str(ONE["id"]).upper()) == ONE["id"]
    assert listed.asked == []
    assert run_reference.find(listed, "aaaaaa000001") == ONE["id"]
    assert run_reference.find(listed, "8000-bbbbbb000001") == TWO["id"]
    assert run_reference.find(listed, "@last") == ONE["id"]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("000001", USAGE, "any of 2 runs"),
        ("0193a0a0", USAGE, "  0193a0a0-0000-7000-8000-bbbbbb000001  etl  RUNNING"),
        ("7000-8000", FAILED, "no run whose id begins or ends"),  # in the middle only
        ("cccccc", FAILED, "no run whose id begins or ends"),
        ("aaaaa", FAILED, "six or more characters"),
        ("etl", FAILED, "@last"),
    ],
)
def test_a_run_that_cannot_be_told(text: str, code: int, said: str) -> None:
    with pytest.raises(Exit) as ended:
        run_reference.find(Listed(ONE, TWO), text)
    assert ended.value.code == code
    assert said in str(ended.value)


def test_the_newest_of_none() -> None:
    with pytest.raises(Exit, match="perfect trigger FLOW"):
        run_reference.find(Listed(), "@last")


# -- completion


def words(*given: str) -> list[str]:
    return [word for word, _ in completing.candidates(list(given))]


def test_commands_options_and_choices_are_completed() -> None:
    assert words("ru") == ["run", "runs"]
    assert words("runs", "re") == ["resume", "retry"]
    assert "--state" in words("runs", "ls", "--st")
    assert words("runs", "ls", "--sort", "") == ["start", "duration"]
    assert words("trigger", "etl", "--config", "d") == ["development", "debug"]
    assert words("completion", "f") == ["fish"]
    assert words("nonsense", "x", "") == []
    assert words("worker", "") == [completing.FILES]
    assert words("report", "x", "-o", "") == [completing.FILES]
    assert words("doctor", "--f") == ["--full"]


def test_what_is_asked_of_a_system_that_is_not_there_completes_nothing(
    tmp_path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["__complete", "--", "trigger", ""]) == OK
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_each_shell_has_a_script_that_asks(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == OK
        assert "perfect __complete" in capsys.readouterr().out
    assert set(SCRIPTS) == {"bash", "zsh", "fish"}


def test_bash_completes_what_the_program_says(tmp_path: Path) -> None:
    program = tmp_path / "perfect"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nfrom perfect_sdk.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    (tmp_path / "flows.py").touch()
    script = """
        eval "$(perfect completion bash)"
        try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _perfect; echo "${COMPREPLY[*]}"; }
        try perfect runs re; try perfect runs ls --sort ''; try perfect worker fl; try perfect nonsense ''
    """
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["resume retry", "start duration", "flows.py", ""]


# -- what is printed


@pytest.mark.parametrize(
    ("json", "quiet", "listed", "done"),
    [
        (False, False, "NAME\na\n", "made a\n"),
        (False, True, "a\n", "a\n"),
        (True, False, '[\n  {\n    "name": "a"\n  }\n]\n', '{\n  "name": "a"\n}\n'),
        (True, True, '[\n  {\n    "name": "a"\n  }\n]\n', '{\n  "name": "a"\n}\n'),
    ],
)
def test_lists_and_confirmations_in_each_form(
    json: bool, quiet: bool, listed: str, done: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = argparse.Namespace(json=json, quiet=quiet)
    found = [{"name": "a"}]
    assert print_list(arguments, found, key="name", head=["NAME"], rows=[["a"]], empty="none") == OK
    assert capsys.readouterr().out == listed
    assert print_done(arguments, found[0], "made a", value="a") == OK
    assert capsys.readouterr().out == done


def test_ids_are_whole_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    assert show_run(str(ONE["id"])) == ONE["id"]


def test_the_widest_columns_give_way() -> None:
    assert fitted([10, 40, 12], [True, False, False], 80) == [10, 40, 12]
    assert fitted([10, 40, 12], [True, False, False], 54) == [10, 28, 12]
    assert fitted([10, 40, 12], [True, False, False], 38) == [10, 12, 12]
    assert fitted([30, 40], [True, True], 20) == [30, 40]  # then the terminal breaks the lines
