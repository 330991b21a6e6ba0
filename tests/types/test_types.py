"""Type checkers see through the decorators: `typed_example.py` says what they are to see."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(__file__).with_name("typed_example.py")


def test_mypy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(EXAMPLE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success: no issues found in 1 source file" in done.stdout


def test_mypy_finds_each_mistake(tmp_path: Path) -> None:
    """Without the `type: ignore` each line that has one is an error, and no other line is."""
    text = EXAMPLE.read_text()
    bare = tmp_path / "bare.py"
    bare.write_text(text.replace("# type: ignore[", "# ["))
    mistakes = {n for n, line in enumerate(text.splitlines(), 1) if "# type: ignore[" in line}
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(bare)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert found == mistakes, done.stdout


@pytest.fixture(scope="module")
def pyright() -> str:
    """Its Python package fetches the checker itself when it is first run."""
    command = shutil.which("pyright", path=str(Path(sys.executable).parent)) or shutil.which("pyright")
    if command is None or subprocess.run([command, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("pyright cannot be started here")
    return command


def test_pyright(pyright: str, tmp_path: Path) -> None:
    done = _pyright(pyright, tmp_path, EXAMPLE.read_text())
    assert "0 errors" in done.stdout, done.stdout + done.stderr


def test_pyright_finds_each_mistake(pyright: str, tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    mistakes = [n for n, line in enumerate(text.splitlines(), 1) if "# type: ignore[" in line]
    done = _pyright(pyright, tmp_path, text.replace("# type: ignore[", "# ["))
    found = {
        int(line.split("bare.py:")[1].split(":")[0])
        for line in done.stdout.splitlines()
        if " - error:" in line
    }
    assert sorted(found) == mistakes, done.stdout


def _pyright(command: str, folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    """In a project of its own, as a user's; strict about ignores that nothing needs."""
    file = folder / "bare.py"
    file.write_text(text + "\n# pyright: reportUnnecessaryTypeIgnoreComment=true\n")
    return subprocess.run(
        [command, "--pythonpath", sys.executable, str(file)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
