"""The documentation is true: its Python runs, its links lead somewhere, what is generated is up to date."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)\)")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return [code for kind, code in BLOCK.findall(page.read_text()) if kind == language]


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
        'pip install -e ".[dev]" && pytest',
    ]


def test_the_states_page_is_what_the_table_of_moves_gives() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate_states.py", "--check"], check=False)
    assert done.returncode == 0, "run `just docs`"


def test_the_settings_page_is_what_the_struct_gives() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "generate_settings.py", "--check"], check=False)
    assert done.returncode == 0, "run `just docs`"


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


def test_commands_that_the_readme_names_exist() -> None:
    known = subprocess.run(
        [sys.executable, "-c", "from perfect_sdk.cli import main; main()", "--help"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    shell = "\n".join(blocks(ROOT / "README.md", "sh"))
    for named in set(re.findall(r"^(?:.*&& )?perfect (\w+)", shell, re.MULTILINE)):
        assert re.search(rf"\b{named}\b", known), f"`perfect {named}` is not in `perfect --help`"
