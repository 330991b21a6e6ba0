"""Server-sent events: how fragments travel to the page. The protocol is in `ui/README.md`."""

from __future__ import annotations

from typing import Literal

Signal = Literal["hello", "ping", "resync"]


def frame(html: str, *, id: str | None = None) -> bytes:  # noqa: A002  the field's name in the protocol
    """An unnamed message with one or more rendered fragments, encoded once for all who listen."""
    return _message(html.strip(), event=None, position=id)


def signal(name: Signal, data: str = "1", *, id: str | None = None) -> bytes:  # noqa: A002
    """A named message. `data` must not be empty: browsers drop such messages."""
    if not data:
        raise ValueError(f"The signal {name!r} needs data; browsers drop a message without.")
    return _message(data, event=name, position=id)


def _message(data: str, *, event: str | None, position: str | None) -> bytes:
    lines = [f"event: {event}"] if event else []
    if position is not None:
        if "\n" in position or "\r" in position or "\0" in position:
            raise ValueError(f"A stream position is one line, not {position!r}.")
        lines.append(f"id: {position}")
    # Any of the three line ends would end the field, whatever a user wrote into a log line.
    text = data.replace("\r\n", "\n").replace("\r", "\n")
    lines += [f"data: {line}" for line in text.split("\n")]
    return ("\n".join(lines) + "\n\n").encode()
