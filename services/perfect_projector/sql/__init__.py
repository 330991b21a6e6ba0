"""The statements of the projector, by name. They stand in the `.sql` files beside this one, each under a line
`-- name: <name>`.
"""

import functools
import re
from importlib import resources

_HEADING = re.compile(r"^-- name: ([\w.]+)$", re.MULTILINE)


@functools.cache
def statements() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            parts = _HEADING.split(file.read_text())
            found |= {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return found


def statement(name: str) -> str:
    return statements()[name]
