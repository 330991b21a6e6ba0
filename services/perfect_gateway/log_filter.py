"""Which lines of a run's log are shown: by level, text and task. The read model searches by the same three."""

from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec

from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.events.log import LogLine
from perfect_schemas.views import LEVELS, level_name
from perfect_ui.ansi import plain

NUMBERS = {name: number for number, name in LEVELS.items()} | {"WARN": 30, "FATAL": 50}
MOST_CHARACTERS = 500


def level_number(level: str | int) -> int:
    """Raises InvalidInput."""
    number = level if isinstance(level, int) else NUMBERS.get(level.upper())
    if number is None and str(level).isdecimal():
        number = int(level)
    if number is None or not 0 <= number <= 100:
        message = f"{level!r} is no level; there are {', '.join(LEVELS.values())} and the numbers 0-100"
        raise InvalidInput(f"level: {message}", [FieldError("level", message)])
    return number


class LogFilter(msgspec.Struct, frozen=True):
    """level: the lowest one shown, Python's number. text: that a line has in it as it is read, upper and lower case alike.
    task: the key of a task run, or the key of a task without its number.
    """

    level: int = 0
    text: str = ""
    task: str = ""

    @classmethod
    def of(cls, level: str | None, text: str | None, task: str | None) -> "LogFilter":
        """Raises InvalidInput."""
        for name, given in (("q", text), ("task", task)):
            if given is not None and len(given) > MOST_CHARACTERS:
                message = f"must have at most {MOST_CHARACTERS} characters"
                raise InvalidInput(f"{name}: {message}", [FieldError(name, message)])
        return cls(level_number(level) if level else 0, text or "", task or "")

    @classmethod
    def parse(cls, query: str) -> "LogFilter":
        """What `query` made. Raises InvalidInput."""
        given = dict(parse_qsl(query))
        return cls.of(given.get("level"), given.get("q"), given.get("task"))

    def keeps(self, line: LogLine) -> bool:
        if line.level < self.level:
            return False
        if self.task and not is_of_task(line.task_key or "", self.task):
            return False
        return not self.text or self.text.lower() in plain(line.message).lower()

    @property
    def fields(self) -> dict[str, str]:
        """As they stand in a URL; what is not asked for is left out."""
        level = "" if not self.level else level_name(self.level) if self.level in LEVELS else str(self.level)
        found = {"level": level, "q": self.text, "task": self.task}
        return {name: text for name, text in found.items() if text}

    @property
    def asked(self) -> dict[str, Any]:
        """As `queries.LogPage` takes it."""
        return {"level": self.level, "text": self.text or None, "task": self.task or None}

    def query(self) -> str:
        return urlencode(self.fields)

    def topic(self, run_id: str) -> str:
        query = self.query()
        return f"logs:{run_id}?{query}" if query else f"logs:{run_id}"


def is_of_task(key: str, task: str) -> bool:
    """Pure. Whether it is that key, or that key with a number."""
    return key == task or (key.startswith(f"{task}-") and key[len(task) + 1 :].isdecimal())
