"""Which files may be started: Python files below the workflows folder, and nothing else."""

import os
from pathlib import Path

from perfect_schemas.errors import FieldError, InvalidInput, NotFound

NAME_LENGTH = 1000
MOST_FILES = 1000
MOST_VISITED = 20_000  # the folder may be somebody's home
NOT_ENTERED = frozenset({"__pycache__", "node_modules", "site-packages"})


class Workflows:
    """folder: links in its own path are resolved once; links inside it must not lead out of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def name_of(self, file: str) -> str:
        """The file relative to the folder, by which it is known from then on, whether or not it is there.

        file: relative to the folder, or absolute and below it. Raises InvalidInput.
        """
        if not file or len(file) > NAME_LENGTH or not file.isprintable() or ":" in file:
            raise _wrong(
                file, "is no file name: it is empty, too long or has characters that it must not have here"
            )
        try:
            found = (self.folder / file).resolve()
        except (OSError, RuntimeError) as error:  # a loop of links, a name too long
            raise _wrong(
                file, f"cannot be looked up: {error.strerror if isinstance(error, OSError) else error}"
            ) from error
        if not found.is_relative_to(self.folder):
            raise _wrong(
                file, f"leads out of the workflows folder {self.folder}; only files below it are started"
            )
        if found.suffix != ".py":
            raise _wrong(file, "is no Python file: its name must end in .py")
        return found.relative_to(self.folder).as_posix()

    def find(self, name: str) -> Path:
        """The file called `name` by `name_of`, as it is now. Raises InvalidInput, NotFound."""
        path = self.folder / self.name_of(name)
        try:
            is_file = path.is_file()
        except OSError as error:
            raise _wrong(name, f"cannot be looked up: {error.strerror}") from error
        if not is_file:
            raise NotFound(f"there is no file {name!r} in the workflows folder {self.folder}")
        return path

    def files(self) -> tuple[list[str], bool]:
        """What may be started, by name, and whether that is all: at most 1,000, and a large folder is not read to its end.

        Hidden folders, virtual environments and links to folders are not entered, though what is in them may be started.
        Blocks.
        """
        found: list[str] = []
        visited = 0
        for parent, folders, names in os.walk(self.folder):
            folders[:] = sorted(one for one in folders if _is_entered(Path(parent, one)))
            for name in sorted(names):
                if name.endswith(".py") and not name.startswith("."):
                    found += self._known(Path(parent, name))
            visited += len(names) + len(folders)
            if len(found) > MOST_FILES or visited > MOST_VISITED:
                return sorted(set(found))[:MOST_FILES], False
        return sorted(set(found)), True

    def _known(self, path: Path) -> list[str]:
        """Its name; nothing for a link that leads out of the folder or to nowhere."""
        try:
            name = self.name_of(str(path))
            self.find(name)
        except (InvalidInput, NotFound):
            return []
        return [name]


def _is_entered(folder: Path) -> bool:
    if folder.name.startswith(".") or folder.name in NOT_ENTERED:
        return False
    return not (folder / "pyvenv.cfg").exists()


def _wrong(file: str, message: str) -> InvalidInput:
    return InvalidInput(f"file {file[:200]!r} {message}", [FieldError("file", message)])
