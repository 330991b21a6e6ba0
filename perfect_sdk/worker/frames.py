"""What supervisor and executor say to each other over their socket: length-prefixed JSON frames.

JSON rather than MessagePack, because parameters may hold integers of any size.
"""

import asyncio
from collections.abc import Callable

import msgspec

from perfect_bus.bus import Connection
from perfect_schemas.commands import HandOver, RegisterFlow, TaskHandOver


class Serve(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor, first of all: import these targets, connect there, speak in this client's name."""

    targets: list[str]
    connection: Connection
    client_id: str
    client_name: str
    concurrency: int
    lease_s: float = 5.0
    suspend_after_s: float = 10.0


class Start(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: run this; it is claimed. replay: there is history up to `claim_seq` to read first."""

    hand_over: HandOver
    epoch: int
    claim_seq: int
    flow_version: str | None = None
    replay: bool = False


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: this run without a history is being claimed; make ready for it. `Claimed` follows, or `Abandon`."""

    hand_over: HandOver
    epoch: int
    flow_version: str | None = None


class Claimed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: what was prepared is this worker's; run it."""

    run_id: str
    epoch: int
    claim_seq: int


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: the run is to end as cancelled."""

    run_id: str
    epoch: int


class Pause(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: somebody pauses the run; it stops at its next call."""

    run_id: str
    epoch: int


class Abandon(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: the run's life went on elsewhere; stop it and write nothing more of this epoch."""

    run_id: str
    epoch: int


class StartTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: run this distributed task; it is taken. is_claimed: `task.started` is said already."""

    hand_over: TaskHandOver
    is_claimed: bool


class StopTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: its run ends (is_cancelled), or the dispatch does not count any more."""

    dispatch_id: str
    is_cancelled: bool


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: the worker is about to stop; unwind the code of runs that wait, and keep no more of it."""


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Supervisor: nothing is left to do; send what waits and exit."""


class LoadFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A target that could not be imported, or holds no flow. error: for people, with a traceback where it helps."""

    target: str
    error: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Executor: imported; these flows can be run. background: of single tasks, served once somebody has delayed one."""

    flows: list[RegisterFlow]
    failures: list[LoadFailure]
    background: list[RegisterFlow] = []


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Executor: the slot is free. outcome: what the session said; "error" when it could not write the run's end. keeps:
    the run waits, and its code stays in memory until `Unwound`.
    """

    run_id: str
    epoch: int
    outcome: str
    detail: str = ""
    keeps: bool = False


class Unwound(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Executor: the code of a run that waits, kept since that epoch, is gone."""

    run_id: str
    epoch: int


class TaskEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Executor: the place is free. outcome: "ended" (and said so), "stopped", "error": its end could not be said."""

    dispatch_id: str
    outcome: str
    detail: str = ""


ToExecutor = (
    Serve | Start | Prepare | Claimed | Cancel | Pause | Abandon | StartTask | StopTask | Drain | Stop
)
ToSupervisor = Ready | Ended | Unwound | TaskEnded
Frame = ToExecutor | ToSupervisor

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Frame).decode
HEAD_BYTES = 4


def pack(frame: Frame) -> bytes:
    data = _encode(frame)
    return len(data).to_bytes(HEAD_BYTES, "big") + data


def unpack(data: bytes | bytearray | memoryview) -> Frame:
    return _decode(data)


class FrameStream(asyncio.Protocol):
    """The event-loop end of the socket. `heard(frame)` for each frame; `lost()` once, when the other side is gone."""

    def __init__(self, heard: Callable[[Frame], None], lost: Callable[[], None]) -> None:
        self._heard = heard
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEAD_BYTES:
            end = HEAD_BYTES + int.from_bytes(buffer[:HEAD_BYTES], "big")
            if len(buffer) < end:
                return
            frame = unpack(bytes(buffer[HEAD_BYTES:end]))
            del buffer[:end]
            self._heard(frame)

    def connection_lost(self, _: Exception | None) -> None:
        self._lost()

    def send(self, frame: Frame) -> None:
        """Nothing happens when the other side is gone; `lost` tells."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(pack(frame))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
