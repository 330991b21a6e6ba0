"""The documentation is true: its Python runs, its links lead somewhere, what is generated is up to date."""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documented import BLOCK, blocks, steps

from perfect_sdk.cli.main import build, names

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name_of)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(page, "python")))
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


def test_the_flow_in_the_readme_is_the_example() -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    example = (ROOT / "examples" / "hello.py").read_text()
    assert example.split('"""', 2)[2].strip() == code.strip()


def test_the_readme_begins_with_its_two_commands() -> None:
    commands = [code.strip() for code in blocks(ROOT / "README.md", "sh")]
    assert commands[:2] == [
        'pip install -e ".[demo]" && perfect demo',
        'pip install -e ".[dev]" && just test',
    ]


def test_the_states_page_is_what_the_table_of_moves_gives() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate_states.py", "--check"], check=False)
    assert done.returncode == 0, "run `just docs`"


def test_the_settings_page_is_what_the_struct_gives() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate_settings.py", "--check"], check=False)
    assert done.returncode == 0, "run `just docs`"


def test_the_page_of_the_commands_is_what_their_parsers_give() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate_command_line.py", "--check"], check=False
    )
    assert done.returncode == 0, "run `just docs`"


LANGUAGES = {"python", "console", "sh", "text", "mermaid", ""}
"""python and console blocks are carried out (`documented`), the commands of sh blocks are read by their parsers."""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_of_a_kind_that_is_checked(page: Path) -> None:
    assert {kind for kind, _ in BLOCK.findall(page.read_text())} <= LANGUAGES


def shell_commands(page: Path) -> list[str]:
    """`perfect …` in sh and console blocks, without what pipes, redirects and comments add."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [command for block in blocks(page, "console") for command, _ in steps(block)]
    found = [re.search(r"(?:^|&& )(perfect .*)", line) for line in lines]
    return [re.split(r" (?:\|\||[|>&#])(?: |$)", one[1])[0] for one in found if one is not None]


@pytest.mark.parametrize("page", [page for page in PAGES if shell_commands(page)], ids=name_of)
def test_the_commands_of_a_page_are_commands(page: Path) -> None:
    for command in shell_commands(page):
        _, *words = shlex.split(command)
        try:
            build(words[0]).parse_args(words)
        except SystemExit:
            raise AssertionError(f"{name_of(page)}: {command}") from None


def test_commands_that_pages_name_in_passing_exist() -> None:
    def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        """The parsers of its commands."""
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        return dict(groups[0].choices) if groups else {}

    for page in PAGES:
        prose = BLOCK.sub("", page.read_text())
        for first, second in re.findall(r"`perfect ([a-z]+)(?: ([a-z]+)\b)?", prose):
            assert first in names(), f"{name_of(page)} names `perfect {first}`"
            commands = below(below(build(first))[first])
            assert not (second and commands) or second in commands, (
                f"{name_of(page)} names `perfect {first} {second}`"
            )


def test_variables_that_pages_name_are_settings() -> None:
    settings = set(
        re.findall(r"^\| `(PERFECT_\w+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    )
    of_tests = {"PERFECT_SNAPSHOTS", "PERFECT_TEST_SEED", "PERFECT_CHAOS_KILLS"}
    for page in PAGES:
        for named in re.findall(r"PERFECT_[A-Z]\w*[A-Z]", page.read_text()):
            assert named in settings | of_tests, f"{name_of(page)} names {named}"


def test_recipes_that_pages_name_exist() -> None:
    recipes = set(
        re.findall(r"^(\w+)(?: [^\n]*)?:(?: [\w ]+)?$", (ROOT / "justfile").read_text(), re.MULTILINE)
    )
    for page in PAGES:
        for named in re.findall(r"`just (\w+)", page.read_text()):
            assert named in recipes, f"{name_of(page)} names `just {named}`"


def test_folders_and_files_that_pages_name_exist() -> None:
    for page in PAGES:
        for named in re.findall(
            r"`((?:schemas|services|perfect_sdk|ui|tests|docs|examples|deploy|requirements)/[\w./-]+)`",
            page.read_text(),
        ):
            assert (ROOT / named).exists(), f"{name_of(page)} names {named}"
