"""A stream as a file, and back: the server's own snapshot, which keeps every sequence, time and header.

The server sends it in chunks and waits for an answer to some of them, so that a slow disk here holds it up instead of
being run over. It is a compressed archive; what is in it is the server's business.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from perfect_schemas.errors import BusUnavailable, Failed

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.bus import Bus

CHUNK_BYTES = 128 * 1024
SILENCE_S = 30.0  # without a chunk for so long, the copy has failed
INVALID = 400  # of a status from here on the server says that it has given up


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """config, state: as the server said them when it took the snapshot; both are wanted back for the return.

    In `state`: `messages`, `first_seq`, `last_seq`.
    """

    name: str
    config: dict[str, Any]
    state: dict[str, Any]

    @property
    def last_seq(self) -> int:
        return self.state.get("last_seq", 0)

    @property
    def first_seq(self) -> int:
        return self.state.get("first_seq", 0)


async def copy_stream(bus: "Bus", name: str, write: Callable[[bytes], object]) -> Copied:
    """Hand the stream's snapshot, as of now, to `write`, chunk by chunk; the system goes on meanwhile.

    Consumers are not in it: whoever needs one makes it. Raises BusUnavailable, Failed.
    """
    chunks: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.subscribe(inbox, cb=chunks.put, pending_msgs_limit=-1, pending_bytes_limit=-1)
    try:
        request = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES, "jsck": True}
        answer = await _ask(bus, f"$JS.API.STREAM.SNAPSHOT.{name}", json.dumps(request).encode())
        while data := await _next(bus, name, chunks):
            await asyncio.to_thread(write, data)
        return Copied(name=name, config=answer["config"], state=answer["state"])
    finally:
        await subscription.unsubscribe()


async def _next(bus: "Bus", name: str, chunks: "asyncio.Queue[Msg]") -> bytes:
    try:
        msg = await asyncio.wait_for(chunks.get(), SILENCE_S)
    except TimeoutError:
        raise BusUnavailable(
            f"the server stopped sending the stream {name}: nothing came for {SILENCE_S:.0f} s"
        ) from None
    status = (msg.headers or {}).get("Status", "")
    if status.isdigit() and int(status) >= INVALID:
        raise Failed(
            f"the stream {name} could not be copied: {status} {(msg.headers or {}).get('Description', '')}"
        )
    if msg.reply:
        await bus.nc.publish(msg.reply)
    return msg.data


async def return_stream(bus: "Bus", copied: Copied, chunks: Iterable[bytes]) -> dict[str, Any]:
    """Make the stream again from its snapshot; none of that name may be there. Returns its state as the server has it.

    Raises BusUnavailable, Failed.
    """
    request = json.dumps({"config": copied.config, "state": copied.state}).encode()
    where = (await _ask(bus, f"$JS.API.STREAM.RESTORE.{copied.name}", request))["deliver_subject"]
    for chunk in chunks:
        answer = await _request(bus, where, chunk)
        if answer and "error" in (refused := json.loads(answer)):
            raise _refused(f"the stream {copied.name}", refused)
    done = await _ask(bus, where, b"")
    return done["state"]


async def _ask(bus: "Bus", subject: str, data: bytes) -> dict[str, Any]:
    answer = json.loads(await _request(bus, subject, data))
    if "error" in answer:
        raise _refused(subject, answer)
    return answer


def _refused(what: str, answer: dict[str, Any]) -> Failed:
    return Failed(f"{what} was refused: {answer['error'].get('description', answer['error'])}")


async def _request(bus: "Bus", subject: str, data: bytes) -> bytes:
    try:
        return (await bus.nc.request(subject, data, timeout=SILENCE_S)).data
    except (NatsTimeout, NoRespondersError, TimeoutError) as error:
        raise BusUnavailable(f"{subject} is not answered") from error
