"""Where a listener stands on the streams: `<EVENTS sequence>.<LOGS sequence>`, the id of every live message."""

import re

import msgspec

_FORM = re.compile(r"^(\d{1,19})\.(\d{1,19})$")


class Position(msgspec.Struct, frozen=True):
    events: int
    logs: int

    def __str__(self) -> str:
        return f"{self.events}.{self.logs}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """None for what is no position."""
        found = _FORM.match(text.strip())
        return cls(int(found[1]), int(found[2])) if found else None
