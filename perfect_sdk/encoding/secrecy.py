"""The secrets that code of this process has loaded, so that nothing it says shows them.

Log lines and records, errors, what is printed, artifacts and recorded parameters go through `conceal`; a result that
holds one is not kept. Shorter secrets than three characters are not looked for: hiding every `1` would hide what is said.
"""

import contextlib
import json
import threading
import urllib.parse
from typing import Any

CONCEALED = "********"
SHORTEST = 3
LONG_LINE = 8  # characters from which on a line of a secret with several lines is hidden by itself

_lock = threading.Lock()
_known: tuple[str, ...] = ()  # the longest first, so that a part of one does not break it up


def learn(value: Any) -> None:
    """From now on hide `value`: a text, a number, or all of them that are in a list or an object."""
    global _known
    found: set[str] = set()
    _collect(value, found)
    with _lock:
        _known = tuple(sorted({*_known, *found}, key=len, reverse=True))
    if found:
        from perfect_sdk.recording import log_masking

        log_masking.install()


def _collect(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        for inner in value.values():
            _collect(inner, found)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _collect(inner, found)
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        text = str(value)
        lines = [line for line in text.splitlines() if len(line) >= LONG_LINE]
        for one in (text, *lines):
            if len(one) >= SHORTEST:
                found |= {
                    one,
                    repr(one)[1:-1],
                    json.dumps(one)[1:-1],
                    json.dumps(one, ensure_ascii=False)[1:-1],
                }
                found |= {
                    urllib.parse.quote(one),
                    urllib.parse.quote(one, safe=""),
                    urllib.parse.quote_plus(one),
                }


def conceal(text: str) -> str:
    for known in _known:
        if known in text:
            text = text.replace(known, CONCEALED)
    return text


def conceal_in(value: Any) -> Any:
    """A JSON value without the secrets in its texts."""
    if not _known:
        return value
    if isinstance(value, str):
        return conceal(value)
    if isinstance(value, dict):
        return {conceal_in(key): conceal_in(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [conceal_in(inner) for inner in value]
    return value


def holds(data: bytes) -> bool:
    """Whether there is a secret in what is about to be kept."""
    if not _known:
        return False
    with contextlib.suppress(UnicodeEncodeError):
        return any(known.encode() in data for known in _known)
    return True
