"""The REST API as commands use it: urllib, JSON in and out, problems raised as the errors they are."""

import argparse
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from perfect_sdk.cli.exits import FAILED, NOT_RUNNING, Exit, not_running

TIMEOUT_S = 15.0
DOWNLOAD_TIMEOUT_S = 3600.0
STREAM_TIMEOUT_S = 60.0  # the server sends a comment well before


class Message(NamedTuple):
    """Server-sent. data: JSON of an unnamed one ("message"), text of a signal. position: `<EVENTS sequence>.<LOGS
    sequence>` of the last event so far.
    """

    name: str
    data: Any
    position: str

    @property
    def sequences(self) -> tuple[int, int]:
        """Of EVENTS and of LOGS."""
        events, _, logs = self.position.partition(".")
        return int(events or 0), int(logs or 0)


class Gateway:
    """`url`: without a path, such as http://127.0.0.1:3000."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Gateway":
        """--url, or where the running system says that it is. Raises Exit when there is none."""
        if arguments.url:
            return cls(arguments.url)
        from perfect_bus.settings import Settings, find_connection

        settings = Settings.load(overrides={"data_dir": arguments.data_dir})
        connection = find_connection(settings)
        if connection is None:
            raise not_running()
        return cls(connection.gateway or f"http://{settings.host}:{settings.port}")

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", self._path(path, query))

    def page(self, path: str, **query: Any) -> tuple[list[Any], str | None]:
        """One page of a list, and the cursor of the next one from the Link header."""
        with self._open("GET", self._path(path, query), None, TIMEOUT_S) as response:
            rows = json.loads(response.read())
            link = response.headers.get("Link", "")
        if 'rel="next"' not in link:
            return rows, None
        following = urllib.parse.urlsplit(link[link.index("<") + 1 : link.index(">")]).query
        return rows, urllib.parse.parse_qs(following).get("cursor", [None])[0]

    def data(self, path: str, **query: Any) -> bytes:
        """What is no JSON."""
        with self._open("GET", self._path(path, query), None, STREAM_TIMEOUT_S) as response:
            return response.read()

    def post(self, path: str, body: Any = None) -> Any:
        return self._json("POST", path, body)

    def download(self, path: str, body: Any) -> tuple[bytes, Any]:
        """The whole answer, and its headers (any case). The server says when it takes too long."""
        with self._open("POST", path, body, DOWNLOAD_TIMEOUT_S) as response:
            return response.read(), response.headers

    def put(self, path: str, body: Any) -> Any:
        return self._json("PUT", path, body)

    def delete(self, path: str) -> None:
        self._json("DELETE", path)

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[Iterator["Message"]]:
        """Server-sent events as they come."""
        with self._open("GET", self._path(path, query), None, STREAM_TIMEOUT_S) as response:
            yield _events(response)

    def position(self) -> "Message":
        """Where the streams are now: the first thing that the stream of events says."""
        with self.stream("/api/events", logs="false") as messages:
            for message in messages:
                if message.name == "hello":
                    return message._replace(position=message.data)
        raise Exit(FAILED, f"{self.url} ended its stream of events at once: try again")

    def _path(self, path: str, query: dict[str, Any]) -> str:
        given = {name: value for name, value in query.items() if value not in (None, [], "")}
        return f"{path}?{urllib.parse.urlencode(given, doseq=True)}" if given else path

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        with self._open(method, path, body, TIMEOUT_S) as response:
            text = response.read()
        return json.loads(text) if text else None

    def _open(self, method: str, path: str, body: Any, timeout_s: float) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            data=json.dumps(body).encode() if body is not None else None,
            method=method,
            headers={"Content-Type": "application/json"} if body is not None else {},
        )
        try:
            return urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
        except urllib.error.HTTPError as error:
            raise _problem(error) from None
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise Exit(
                NOT_RUNNING,
                f"nothing answers at {self.url} ({reason}): start a system with `perfect up`, or give its --url",
            ) from None


def _problem(error: urllib.error.HTTPError) -> Exception:
    import msgspec

    from perfect_schemas.errors import Failed, Problem, from_problem

    data = error.read()
    try:
        return from_problem(msgspec.json.decode(data, type=Problem))
    except msgspec.DecodeError:
        return Failed(f"{error.url} answered {error.code} {error.reason}")


def _events(response: Any) -> Iterator["Message"]:
    name, data, position = "message", [], ""
    for raw in response:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if data:
                text = "\n".join(data)
                yield Message(name, json.loads(text) if name == "message" else text, position)
            name, data = "message", []
        elif line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("id:"):
            position = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
