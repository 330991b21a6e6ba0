"""Which files of the workflows folder may be started."""

from pathlib import Path

import pytest

from perfect_launcher import workflows
from perfect_launcher.workflows import Workflows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "flows"
    for name in (
        "b.py",
        "more/a.py",
        "notes.txt",
        ".hidden/c.py",
        ".d.py",
        "__pycache__/e.py",
        "env/lib/f.py",
    ):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (folder / "env" / "pyvenv.cfg").touch()
    (tmp_path / "outside.py").touch()
    (folder / "out.py").symlink_to(tmp_path / "outside.py")
    (folder / "gone.py").symlink_to(folder / "nothing.py")
    (folder / "again.py").symlink_to(folder / "b.py")
    (folder / "up").symlink_to(tmp_path)
    return folder


def test_what_is_listed_may_be_started_and_nothing_leads_out(folder: Path) -> None:
    found = Workflows(folder)
    assert found.files() == (["b.py", "more/a.py"], True)
    assert [found.find(name) for name in found.files()[0]] == [folder / "b.py", folder / "more" / "a.py"]


def test_a_large_folder_is_not_read_to_its_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "MOST_FILES", 1)
    assert Workflows(folder).files() == (["b.py"], False)


def test_no_folder_no_files(tmp_path: Path) -> None:
    assert Workflows(tmp_path / "none").files() == ([], True)
