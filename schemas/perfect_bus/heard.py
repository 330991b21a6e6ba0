"""A message as it was heard. Its headers are read when somebody asks for them: of most messages nobody does."""

from typing import TYPE_CHECKING

from nats.aio.msg import Msg

if TYPE_CHECKING:
    from perfect_bus.client import Client

_VERSION = len("NATS/1.0")


def header_lines(raw: bytes) -> dict[str, str]:
    """By the line: nats-py looks at each character, a second of work for the messages of a run of 10,000 tasks."""
    headers: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, found, value = line.partition(":")
        if found:
            headers[name.strip()] = value.strip()
    return headers


def headers_of(raw: bytes) -> dict[str, str] | None:
    """Of a message's whole header block; a status that the server says in its first line is a header, too."""
    first, _, rest = raw.partition(b"\r\n")
    headers: dict[str, str] = {}
    status, _, description = first[_VERSION:].strip().decode("utf-8", "replace").partition(" ")
    if status.isdigit():
        headers["Status"] = status
        if description.strip():
            headers["Description"] = description.strip()
    headers |= header_lines(rest)
    return headers or None


class Heard(Msg):
    """nats-py's message, for all that is done with it."""

    def __init__(
        self, client: "Client", sid: int, subject: bytes, reply: bytes, data: bytes, raw: bytes
    ) -> None:
        self._client = client
        self._sid = sid
        self.subject = subject.decode()
        self.reply = reply.decode()
        self.data = data
        self._raw = raw

    @property
    def headers(self) -> dict[str, str] | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return headers_of(self._raw) if self._raw else None
