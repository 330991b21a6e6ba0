"""What is in the wheel, and what must never be in the tree."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {
    "perfect_sdk",
    "perfect_pytest",
    "perfect_schemas",
    "perfect_bus",
    "perfect_runtime",
    "perfect_registry",
    "perfect_engine",
    "perfect_projector",
    "perfect_gateway",
    "perfect_launcher",
    "perfect_ui",
}


@pytest.fixture(scope="module")
def in_the_wheel() -> set[str]:
    return {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}


def test_the_wheel_has_these_packages_and_no_other(in_the_wheel: set[str]) -> None:
    code = {path for path in in_the_wheel if path.endswith(".py")}
    assert {path.split("/")[0] for path in code} == PACKAGES


def test_every_package_is_typed_and_its_data_is_in_the_wheel(in_the_wheel: set[str]) -> None:
    for name in PACKAGES:
        assert f"{name}/py.typed" in in_the_wheel
        assert f"{name}/__init__.py" in in_the_wheel
    for suffix in (".sql", ".html"):
        source = [
            file
            for folder in ("schemas", "services", "ui/perfect_ui")
            for file in (ROOT / folder).rglob(f"*{suffix}")
        ]
        packed = [path for path in in_the_wheel if path.endswith(suffix)]
        assert len(packed) >= len(source) > 0


def test_no_tests_or_data_of_people_are_in_the_wheel(in_the_wheel: set[str]) -> None:
    assert not [path for path in in_the_wheel if re.search(r"(^|/)(tests?|node_modules|\.perfect)/", path)]


def test_packages_are_in_the_project_file_and_in_the_import_rules() -> None:
    listed = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {path.rpartition("/")[2] for path in listed} == PACKAGES
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == PACKAGES


def test_dependencies_are_capped_at_the_next_major() -> None:
    project = PROJECT["project"]
    every = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    for requirement in every:
        if not requirement.startswith("perfect-flow["):
            assert re.match(r"[\w.-]+(\[[\w,]+\])?>=[\d.]+,<[\d.]+", requirement), requirement


def test_the_base_installation_is_small() -> None:
    names = {re.match(r"[\w-]+", one)[0] for one in PROJECT["project"]["dependencies"]}
    assert names == {"msgspec", "nats-py"}


@pytest.mark.parametrize("extra", ["server", "dev"])
def test_the_pinned_requirements_cover_the_project_file(extra: str) -> None:
    text = (ROOT / "requirements" / f"{extra}.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE))
    wanted = [*PROJECT["project"]["dependencies"], *wanted_by(extra)]
    for requirement in wanted:
        name, least = re.match(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement).groups()
        assert name in pinned, f"{name} is not pinned: run `just requirements`"
        assert version(pinned[name]) >= version(least), f"{name}: run `just requirements`"
    blocks = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in block for block in blocks)


def wanted_by(extra: str) -> list[str]:
    found = []
    for requirement in PROJECT["project"]["optional-dependencies"][extra]:
        own = re.fullmatch(r"perfect-flow\[(\w+)\]", requirement)
        found += wanted_by(own[1]) if own else [requirement]
    return found


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


# -- the tree

# Put together here, so that this file does not hold them.
ADDRESSES = [
    "registry.npm" + "js",
    "pypi" + ".org/simple",
    "files.python" + "hosted",
    "--index-" + "url http",
]
MACHINE = ["/" + "work/", "/tmp" + "/pf", "/ro" + "ot/", "/home" + "/"]


def files_of_the_tree() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_no_file_holds_an_address_of_a_registry_or_a_path_of_a_machine() -> None:
    for file in files_of_the_tree():
        try:
            text = file.read_text()
        except UnicodeDecodeError:
            continue
        for unwanted in [*ADDRESSES, *MACHINE]:
            assert unwanted not in text, f"{file.relative_to(ROOT)} holds {unwanted}"


def test_locks_hold_no_addresses() -> None:
    for file in files_of_the_tree():
        if file.name.endswith("lock.json") or file.parent.name == "requirements":
            text = file.read_text()
            assert "://" not in text
            assert '"resolved"' not in text
        assert file.name not in {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"}
