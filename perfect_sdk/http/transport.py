"""How the HTTP client talks: JSON by POST, server-sent events, by the standard library."""

import contextlib
import http.client
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from perfect_schemas.errors import Problem, ServiceUnavailable, from_problem

TIMEOUT_S = 15.0
SILENCE_S = 60.0  # the gateway says something every 15 s


class Transport(Protocol):
    def post(self, path: str, body: Any) -> Any:
        """The decoded JSON answer. Raises PerfectError."""

    def listen(self, path: str) -> Iterator[tuple[str, Any]]:
        """(event name, decoded data), until `close` or the end of the connection. Raises PerfectError."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends every `listen`, from any thread."""


class HttpTransport:
    """The standard library's HTTP. base_url: of the gateway, `http://…`."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")
        if urllib.parse.urlsplit(self._base).scheme not in ("http", "https"):
            raise ValueError(f"base_url begins with http:// or https://, not {base_url!r}")
        self._open: set[http.client.HTTPResponse] = set()
        self._closed = False
        self._lock = threading.Lock()

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310  the scheme is checked above
            self._base + path,
            data=msgspec.json.encode(body),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            method="POST",
        )
        with self._answer(request, TIMEOUT_S) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def listen(self, path: str) -> Iterator[tuple[str, Any]]:
        request = urllib.request.Request(  # noqa: S310
            self._base + path, headers={"Accept": "text/event-stream"}
        )
        with self._answer(request, SILENCE_S) as answer:
            with self._lock:
                self._open.add(answer)
            try:
                yield from _events(answer)
            except (OSError, ValueError, http.client.HTTPException) as error:
                if not self._closed:
                    raise ServiceUnavailable(f"the connection to {self._base} broke: {error}") from error
            finally:
                with self._lock:
                    self._open.discard(answer)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            answers = list(self._open)
        for answer in answers:
            _shut(answer)

    def _answer(self, request: urllib.request.Request, timeout: float) -> Any:
        try:
            return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
        except urllib.error.HTTPError as error:
            with error:
                raise from_problem(_problem(error)) from None
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ServiceUnavailable(
                f"no Perfect gateway answers at {self._base} ({reason}): is `perfect up` running?"
            ) from error


def _shut(answer: http.client.HTTPResponse) -> None:
    """Wake up a reader that waits for the next line."""
    import socket

    with contextlib.suppress(Exception):
        raw: Any = answer.fp
        raw.raw._sock.shutdown(socket.SHUT_RDWR)


def _problem(error: urllib.error.HTTPError) -> Problem:
    data = error.read()
    try:
        return msgspec.json.decode(data, type=Problem)
    except msgspec.DecodeError:
        return Problem(
            status=error.code, title=error.reason, detail=data.decode(errors="replace")[:500] or error.reason
        )


def _events(lines: Iterator[bytes] | Any) -> Iterator[tuple[str, Any]]:
    """Server-sent events: (name, data as JSON). Comments (pings) are passed over."""
    name, data = "message", []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if data:
                yield name, json.loads("\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
