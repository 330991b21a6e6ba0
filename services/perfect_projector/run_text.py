"""A text that is looked for among runs: in the names of run and flow, in the tags, at the beginning or end of the id."""

import threading
from typing import Any, NamedTuple

from perfect_projector.sql import select, statement

Cursor = Any
LEAST_DIGITS = 4  # of an id: fewer are part of too many
MOST_TAGS = 10_000
MOST_MATCHES = 4
_FORM = "00000000-0000-0000-0000-000000000000"
_DIGITS = frozenset("0123456789abcdef")


class Condition(NamedTuple):
    """parameters: of the condition `text`. fills: what to put into its placeholders, as `select` takes it."""

    parameters: dict[str, Any]
    fills: dict[str, str]


class KnownTags:
    """All tags of all runs, unless they are too many. Used by all readers: each learns what has come since the last.

    In a million runs, that is a tenth of the work of looking into the tags of each.
    """

    def __init__(self) -> None:
        self._tags: set[str] = set()
        self._seq = 0
        self._are_too_many = False
        self._lock = threading.Lock()

    def matching(self, cursor: Cursor, text: str) -> list[str] | None:
        """Those with the text in them, as of the cursor's transaction or later; None when it is not known."""
        if self._are_too_many:
            return None
        found = select(cursor, "tags_since", seq=self._seq, limit=MOST_TAGS + 1)
        seq = dict(select(cursor, "offsets")).get("EVENTS", 0)
        with self._lock:
            self._tags.update(tag for (tag,) in found)
            self._are_too_many = len(self._tags) > MOST_TAGS
            if self._are_too_many:
                self._tags.clear()
                return None
            self._seq = max(self._seq, seq)
            wanted = text.lower()
            return [tag for tag in self._tags if wanted in tag.lower()]


def condition(cursor: Cursor, text: str, tags: KnownTags | None) -> Condition:
    """tags: None to look into the tags of each run."""
    parameters: dict[str, Any] = {"text": text}
    of_id = _of_id(text.lower(), parameters)
    matching = tags.matching(cursor, text) if tags is not None else None
    if matching is None or len(matching) > MOST_MATCHES:
        return Condition(parameters, {"_of_id": of_id, "_of_tags": statement("runs.where.text.tags")})
    parameters |= {f"tag_{n}": tag for n, tag in enumerate(matching)}
    of_tags = [statement("runs.where.text.tag").replace("$tag", f"$tag_{n}") for n in range(len(matching))]
    return Condition(parameters, {"_of_id": of_id, "_of_tags": " ".join(of_tags)})


def _of_id(text: str, parameters: dict[str, Any]) -> str:
    """With the dashes of an id where they belong, or with none."""
    digits = text.replace("-", "")
    if not _DIGITS.issuperset(digits) or not LEAST_DIGITS <= len(digits) <= 32 or len(text) > len(_FORM):
        return ""
    found = []
    if _fits(text, _FORM[: len(text)]):
        parameters |= {"first_id": digits.ljust(32, "0"), "last_id": digits.ljust(32, "f")}
        found.append(statement("runs.where.text.begin"))
    if _fits(text, _FORM[-len(text) :]):
        parameters |= {"id_mask": str(16 ** len(digits) - 1), "id_end": str(int(digits, 16))}
        found.append(statement("runs.where.text.end"))
    return " ".join(found)


def _fits(text: str, form: str) -> bool:
    return "-" not in text or all(
        (one == "-") == (other == "-") for one, other in zip(text, form, strict=True)
    )
