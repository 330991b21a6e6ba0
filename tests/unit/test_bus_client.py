import asyncio

import pytest
from nats.aio.client import Client as NatsClient
from nats.errors import BadSubjectError, ProtocolError

from perfect_bus.client import Client
from perfect_bus.heard import Heard, headers_of
from perfect_bus.parser import Parser

HEADERS = [
    b"",
    b"\r\n",
    b"Nats-Msg-Id: 01a2\r\n\r\n",
    b"Nats-Stream: EVENTS\r\nNats-Subject: perfect.evt.run.x\r\nNats-Sequence: 12\r\nNats-Num-Pending:3\r\n\r\n",
    b"Empty:\r\nTime: 2026-01-01T10:00:00Z\r\nname:\tvalue\r\nno colon\r\n",
    "Text: Grüße\r\n".encode(),
]
FIRST_LINES = [
    b"NATS/1.0\r\n",
    b"NATS/1.0 404 No Messages\r\n",
    b"NATS/1.0 100 Idle Heartbeat\r\n",
]


@pytest.mark.parametrize("raw", HEADERS)
def test_headers_are_read_as_nats_py_reads_them(raw: bytes) -> None:
    assert Client._parse_header_lines(raw) == NatsClient._parse_header_lines(raw)


@pytest.mark.parametrize("first", FIRST_LINES)
@pytest.mark.parametrize("rest", [b"\r\n", b"Nats-Last-Consumer: 3\r\n\r\n", *HEADERS[2:4]])
async def test_a_header_block_is_read_as_nats_py_reads_it(first: bytes, rest: bytes) -> None:
    assert headers_of(first + rest) == await NatsClient()._process_headers(first + rest)


def test_a_status_without_a_word_of_description() -> None:
    assert headers_of(b"NATS/1.0 503\r\n\r\n") == {"Status": "503"}


class Hearing:
    """What nats-py's client does with what the parser finds."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    async def _process_msg(self, *message: object) -> None:
        self.heard.append(message)

    async def _process_ping(self) -> None:
        self.heard.append(("ping",))

    async def _process_pong(self) -> None:
        self.heard.append(("pong",))

    async def _process_info(self, info: dict[str, object]) -> None:
        self.heard.append(("info", info))

    async def _process_err(self, text: str) -> None:
        self.heard.append(("error", text))


SAID = (
    b'INFO {"server_id":"x"}\r\n+OK\r\nPING\r\nMSG a.b 7 5\r\nhello\r\nMSG a.b 7 _INBOX.1 2\r\n\r\n\r\n'
    b"HMSG a 12 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG a 12 _INBOX.2 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"
    b"PONG\r\n-ERR 'Permissions Violation for Publish'\r\n"
)
FOUND = [
    ("info", {"server_id": "x"}),
    ("ping",),
    (7, b"a.b", b"", b"hello", b""),
    (7, b"a.b", b"_INBOX.1", b"\r\n", b""),
    (12, b"a", b"", b"hi", b"NATS/1.0\r\n\r\n"),
    (12, b"a", b"_INBOX.2", b"", b"NATS/1.0 503\r\n\r\n"),
    ("pong",),
    ("error", "'permissions violation for publish'"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 61, len(SAID)])
async def test_what_the_server_says_is_found_however_it_is_cut(size: int) -> None:
    hearing = Hearing()
    parser = Parser(hearing)  # type: ignore[arg-type]
    for start in range(0, len(SAID), size):
        await parser.parse(SAID[start : start + size])
    assert hearing.heard == FOUND


@pytest.mark.parametrize(
    "line", [b"HELLO\r\n", b"MSG a\r\n", b"MSG a 1 many\r\n", b"HMSG a 1 x 4\r\n", b"\r\n"]
)
async def test_what_is_no_protocol_is_refused(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Parser(Hearing()).parse(line)  # type: ignore[arg-type]


async def test_a_reset_while_a_message_is_handled_forgets_the_rest() -> None:
    class Losing(Hearing):
        async def _process_msg(self, *message: object) -> None:
            await super()._process_msg(*message)
            parser.reset()

    hearing = Losing()
    parser = Parser(hearing)  # type: ignore[arg-type]
    await parser.parse(b"MSG a 1 1\r\nx\r\nMSG a 1 9\r\nhalf")
    await parser.parse(b"PING\r\n")
    assert hearing.heard == [(1, b"a", b"", b"x", b""), ("ping",)]


class Writer:
    def __init__(self) -> None:
        self.written = b""
        self.transport = self
        self._io_writer = self

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


def connected() -> tuple[Client, Writer]:
    client, writer = Client(), Writer()
    client._status = Client.CONNECTED
    client._transport = writer  # type: ignore[assignment]
    client._flush_queue = asyncio.Queue(1)
    client._flush_queue.put_nowait(asyncio.Future())
    return client, writer


@pytest.mark.parametrize(
    ("subject", "reply", "headers"),
    [
        ("a.b", "", None),
        ("a.b", "_INBOX.x", None),
        ("a.b", "_INBOX.x", {"Nats-Msg-Id": "01a2", "Nats-Expected-Last-Subject-Sequence": "0"}),
        ("a.b", "", {"Perfect-Text": "Grüße"}),
    ],
)
async def test_a_message_is_written_as_nats_py_writes_it(
    subject: str, reply: str, headers: dict[str, str] | None
) -> None:
    client, writer = connected()
    await client.publish(subject, b"data", reply, headers)
    await NatsClient.publish(client, subject, b"data", reply, headers)
    assert client._pending[0].replace(b"  ", b" ") == writer.written


async def test_what_stands_in_a_subject_or_header_cannot_become_a_command() -> None:
    client, writer = connected()
    with pytest.raises(BadSubjectError):
        await client.publish("a 0\r\n\r\nPUB b", b"data")
    await client.publish("a", b"", headers={"Name": "one\r\ntwo: three"})
    assert (writer.written, b"".join(client._pending).count(b"\r\ntwo")) == (b"", 0)


async def test_nothing_overtakes_what_waits_to_be_written() -> None:
    client, writer = connected()
    client._pending, client._pending_data_size = [b"PUB a 1\r\nx\r\n"], 12
    await client.publish("b", b"y")
    assert writer.written == b""
    assert client._pending == [b"PUB a 1\r\nx\r\n", b"PUB b  1\r\ny\r\n"]


def test_a_message_reads_its_headers_when_it_is_asked() -> None:
    heard = Heard(Client(), 1, b"a", b"", b"x", b"NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n")
    assert (heard.headers, heard.header, heard.sid) == ({"Nats-Msg-Id": "7"}, {"Nats-Msg-Id": "7"}, 1)
    assert Heard(Client(), 1, b"a", b"", b"x", b"").headers is None


async def test_what_was_not_written_before_a_loss_is_forgotten() -> None:
    client = Client()
    client._pending, client._pending_data_size = [b"PUB a 1\r\nx\r\n"], 12
    await client.lost()
    assert (client._pending, client.pending_data_size) == ([], 0)
