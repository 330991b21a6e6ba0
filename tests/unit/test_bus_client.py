import pytest
from nats.aio.client import Client as NatsClient

from perfect_bus.client import Client


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"Nats-Msg-Id: 01a2\r\n\r\n",
        b"Nats-Stream: EVENTS\r\nNats-Subject: perfect.evt.run.x\r\nNats-Sequence: 12\r\nNats-Num-Pending:3\r\n\r\n",
        b"Empty:\r\nTime: 2026-01-01T10:00:00Z\r\nname:\tvalue\r\nno colon\r\n",
        "Text: Grüße\r\n".encode(),
    ],
)
def test_headers_are_read_as_nats_py_reads_them(raw: bytes) -> None:
    assert Client._parse_header_lines(raw) == NatsClient._parse_header_lines(raw)


async def test_what_was_not_written_before_a_loss_is_forgotten() -> None:
    client = Client()
    client._pending, client._pending_data_size = [b"PUB a 1\r\nx\r\n"], 12
    await client.lost()
    assert (client._pending, client.pending_data_size) == ([], 0)
