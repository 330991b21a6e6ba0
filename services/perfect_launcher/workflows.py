"""Which files may be started: Python files below the workflows folder, and nothing else."""

from pathlib import Path

from perfect_schemas.errors import FieldError, InvalidInput, NotFound

NAME_LENGTH = 1000


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


def _wrong(file: str, message: str) -> InvalidInput:
    return InvalidInput(f"file {file[:200]!r} {message}", [FieldError("file", message)])
