"""`append()`: the one way in which an event that decides something gets onto its stream.

Its outcome is one of three: stored (the sequence is returned), refused because the guarded subject has moved on
(`Conflict`, with what came), or unknown until the deadline (`BusUnavailable`). While it is unknown the outbox sends
the same id again. A resend of an event that had been stored is answered "wrong last sequence" on a guarded subject,
hence the look at what stands there: our own id among it means stored.

`append_pair()` is two of them in one round trip, the second as a wish.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from perfect_bus.outbox import DEADLINE_S, WRONG_LAST_SEQUENCE, Ack
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, Failed, TooLarge
from perfect_schemas.streams import MAX_PAYLOAD_BYTES

if TYPE_CHECKING:
    from perfect_bus.bus import Bus

HEADROOM_BYTES = 4096  # headers and protocol line
LAST_ID = "Nats-Expected-Last-Msg-Id"  # of the whole stream


class Guard(msgspec.Struct, frozen=True):
    """The append holds only if `seq` is the last sequence on `subject` (0: the subject is empty)."""

    subject: str
    seq: int


class Conflict(Exception):
    """The guarded subject has moved on. `events`: what came after the expected sequence, (sequence, event)."""

    def __init__(self, guard: Guard, events: list[tuple[int, Event | UnknownEvent]]) -> None:
        super().__init__(f"{guard.subject} has moved on from sequence {guard.seq}")
        self.guard = guard
        self.events = events


def guard_headers(subject: str, guard: Guard) -> dict[str, str]:
    headers = {"Nats-Expected-Last-Subject-Sequence": str(guard.seq)}
    if guard.subject != subject:
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = guard.subject
    return headers


def stream_of(subject: str) -> str:
    return "EVENTS" if subject.startswith(("perfect.evt.run.", "perfect.evt.task.")) else "DEFS"


def check_size(subject: str, data: bytes) -> None:
    """Raises TooLarge: a message above the server's limit is never put into the outbox."""
    if len(data) > MAX_PAYLOAD_BYTES - HEADROOM_BYTES:
        raise TooLarge(
            f"an event of {len(data):,} bytes for {subject} is larger than the {MAX_PAYLOAD_BYTES:,} bytes "
            "that a message may have; pass large values by reference (a file or object name)"
        )


async def append(
    bus: "Bus", subject: str, event: Event, guard: Guard, *, deadline_s: float = DEADLINE_S
) -> int:
    """Store `event` on `subject` of EVENTS or DEFS if `guard` holds. Returns its sequence.

    Raises Conflict, TooLarge, or BusUnavailable after `deadline_s` without an answer.
    """
    data = codec.encode(event)
    check_size(subject, data)
    ack = await bus.outbox.send(
        subject, data, event.id, headers=guard_headers(subject, guard), deadline_s=deadline_s
    )
    return await _sequence(bus, subject, event, guard, ack)


async def append_pair(
    bus: "Bus",
    subject: str,
    first: Event,
    second: Event,
    guard: Guard,
    *,
    also: Callable[[], Awaitable[object]] | None = None,
    deadline_s: float = DEADLINE_S,
) -> tuple[int, int | None]:
    """Store `first` if `guard` holds, and `second` right behind it. Returns their sequences.

    The sequence that `second` would be guarded on is not known yet when both are sent. It holds only if `first` is the
    last message of the whole stream, which says more: nothing can stand between them. None when something else
    came between, or when its outcome is unknown: append it as any other then. also: called when both are sent; what it
    sends leaves in the same write, behind them. Raises what `append` raises of `first`.
    """
    datas = codec.encode(first), codec.encode(second)
    for data in datas:
        check_size(subject, data)
    answers: list[asyncio.Future[Ack | BusUnavailable]] = []

    def put(event: Event, data: bytes, headers: dict[str, str]) -> None:
        answer: asyncio.Future[Ack | BusUnavailable] = asyncio.get_running_loop().create_future()
        answers.append(answer)

        def done(ack: Ack | BusUnavailable) -> None:
            if not answer.done():
                answer.set_result(ack)

        bus.outbox.put(subject, data, event.id, headers=headers, done=done, deadline_s=deadline_s)

    put(first, datas[0], guard_headers(subject, guard))
    put(second, datas[1], {LAST_ID: first.id})
    await bus.outbox.hurry()
    if also is not None:
        await also()
    ack, behind = await answers[0], await answers[1]
    if isinstance(ack, BusUnavailable):
        raise ack
    seq = await _sequence(bus, subject, first, guard, ack)
    return seq, behind.seq if isinstance(behind, Ack) and behind.error is None else None


async def _sequence(bus: "Bus", subject: str, event: Event, guard: Guard, ack: Ack) -> int:
    """At which the answered event stands. Raises Conflict, or Failed for any other refusal."""
    if ack.error is None:
        return ack.seq
    if ack.error.err_code != WRONG_LAST_SEQUENCE:
        raise Failed(f"{subject} refused {event.type}: {ack.error.description}")
    stream = stream_of(guard.subject)
    since = await bus.read(guard.subject, after=guard.seq, stream=stream)
    if guard.subject == subject:
        own = next((seq for seq, stored in since if stored.id == event.id), None)
    else:
        stored = await bus.read(subject, after=guard.seq, stream=stream)
        own = next((seq for seq, other in stored if other.id == event.id), None)
    if own is not None:
        return own
    raise Conflict(guard, since)
