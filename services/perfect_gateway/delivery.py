"""How the answer of a GET travels: a whole one with an ETag, as a 304 when the asker has it, packed when that saves something.

A part of the outermost layer, so that no route thinks of it. Streams pass through as they are, for an event that waits in a
compressor is late; but one whose reader takes nothing is cut off, so that it holds no memory. What must not be stored (`no-store`) gets no tag; what has one, or is packed already, keeps it.
"""

import asyncio
import gzip
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litestar.types import Message, Send

LEAST_BYTES = 2048  # below it, the headers and a packet or two are what costs
MOST_BYTES = 4 * 1024 * 1024  # above it, packing would hold up everybody else for too long
LEVEL = 1  # 150 MB/s here, and within a fifth of the size that level 6 gives for JSON
STREAM = "perfect_stream"  # key of the scope: the generator that a route streams, to be closed at its end
STALL_S = 30.0  # so long may a part of a stream wait for its reader
PACKED_KINDS = (b"application/json", b"text/html", b"text/plain", b"text/csv", b"application/x-ndjson")
TAGGED_KINDS = (b"application/json",)

Headers = list[tuple[bytes, bytes]]


def accepts_gzip(header: bytes) -> bool:
    """Pure. Whether an Accept-Encoding header takes gzip."""
    for part in header.lower().split(b","):
        name, _, weight = part.partition(b";")
        if name.strip() == b"gzip":
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


def is_known(header: bytes, tag: bytes) -> bool:
    """Pure. Whether an If-None-Match header names `tag`, by the weak comparison."""
    return header.strip() == b"*" or tag.removeprefix(b"W/") in [
        part.strip().removeprefix(b"W/") for part in header.split(b",")
    ]


def delivered(
    status: int, headers: Headers, body: bytes, request: dict[bytes, bytes]
) -> tuple[int, Headers, bytes]:
    """Pure. The answer as it is sent. request: the headers of the GET that asked for it."""
    own = dict(headers)
    kind = own.get(b"content-type", b"").partition(b";")[0]
    if (
        status == 200
        and kind in TAGGED_KINDS
        and b"etag" not in own
        and b"no-store" not in own.get(b"cache-control", b"")
    ):
        tag = b'W/"%b"' % hashlib.blake2b(body, digest_size=12).hexdigest().encode()
        headers = [*headers, (b"etag", tag)]
        if b"cache-control" not in own:
            headers.append((b"cache-control", b"no-cache"))  # ask every time
        if is_known(request.get(b"if-none-match", b""), tag):
            gone = (b"content-length", b"content-type")
            kept = [header for header in headers if header[0] not in gone]
            return 304, [*kept, (b"vary", b"accept-encoding")], b""
    if kind in PACKED_KINDS and b"content-encoding" not in own and LEAST_BYTES <= len(body) <= MOST_BYTES:
        headers = [*headers, (b"vary", b"accept-encoding")]
        if accepts_gzip(request.get(b"accept-encoding", b"")):
            body = gzip.compress(body, LEVEL, mtime=0)
            headers = [header for header in headers if header[0] != b"content-length"]
            headers += [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
    return status, headers, body


class Delivery:
    """`send` of one GET: holds the start of the answer back until it knows whether its body is all there.

    stalled: the reader of a stream took nothing for `STALL_S` seconds; the part that was to be sent raised TimeoutError.
    """

    def __init__(self, send: "Send", request: dict[bytes, bytes]) -> None:
        self._send = send
        self._request = request
        self._start: Any = None  # the message that begins the answer
        self.stalled = False

    async def __call__(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is None or message["type"] != "http.response.body" or message.get("more_body", False):
            if start is not None:
                await self._send(start)
            await self._part(message)
            return
        status, headers, body = delivered(
            start["status"], list(start.get("headers", ())), message.get("body", b""), self._request
        )
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _part(self, message: "Message") -> None:
        try:
            async with asyncio.timeout(STALL_S):
                await self._send(message)
        except TimeoutError:
            self.stalled = True
            raise
