"""Every event as it is, for programs: `GET /api/events`.

A reader first catches up from the streams, page by page, then listens to the follower. One that falls behind is not cut
off and loses nothing: its queue is dropped and it reads the streams again from where it stands. Only what is gone
from the streams cannot be given: then it hears `resync` and goes on with what there is.
"""

from collections.abc import AsyncGenerator, AsyncIterator

from perfect_bus import Bus
from perfect_bus.purging import missing
from perfect_gateway.live.follower import Follower
from perfect_gateway.live.position import Position
from perfect_gateway.live.subscriber import Subscriber
from perfect_schemas import subjects

PAGE = 200
RESYNC = b"event: resync\ndata: 1\n\n"
PING = b"event: ping\ndata: 1\n\n"


def frame(data: bytes, position: Position) -> bytes:
    """One event, unnamed: its type is in the JSON. A line break can stand in it only as white space."""
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    return b"id: %d.%d\ndata: %b\n\n" % (position.events, position.logs, data)


class Reader:
    """run_id: only this run's events. logs: whether log batches come too. definitions: whether flows and clients do."""

    def __init__(self, run_id: str | None, *, logs: bool, definitions: bool) -> None:
        self.run_id = run_id
        self.logs = logs
        self.definitions = definitions
        self.queue = Subscriber(ping=PING, overflow=None)
        self.listening = False


class Feed:
    def __init__(self, bus: Bus, follower: Follower) -> None:
        self._bus = bus
        self._follower = follower
        self.readers: set[Reader] = set()
        follower.listen(self)

    def close(self) -> None:
        for reader in list(self.readers):
            reader.queue.close()

    def on_event(self, _seq: int, run_id: str, data: bytes) -> None:
        self._give(run_id, data)

    def on_log(self, _seq: int, run_id: str, data: bytes) -> None:
        self._give(run_id, data, logs=True)

    def on_definition(self, _kind: str, data: bytes) -> None:
        for reader in self.readers:
            if reader.listening and reader.definitions:
                reader.queue.push(frame(data, self._follower.position))

    def _give(self, run_id: str, data: bytes, *, logs: bool = False) -> None:
        encoded: bytes | None = None
        for reader in self.readers:
            if reader.listening and reader.run_id in (None, run_id) and (reader.logs or not logs):
                encoded = encoded or frame(data, self._follower.position)
                reader.queue.push(encoded)

    async def read(
        self, since: Position | None, *, run_id: str | None, logs: bool, definitions: bool
    ) -> AsyncGenerator[bytes]:
        """The frames after `since` (None: from now on), until the gateway stops. Raises BusUnavailable."""
        reader = Reader(run_id, logs=logs, definitions=definitions)
        self.readers.add(reader)
        try:
            await self._follower.acquire()
        except BaseException:
            self.readers.discard(reader)
            raise
        try:
            yield b"event: hello\ndata: %b\n\n" % str(self._follower.position).encode()
            at = since or self._follower.position
            if await self._purged(at, logs=logs):
                yield RESYNC
                at = await self._first(at)
            while not reader.queue.closed:
                reader.listening = False
                reader.queue.reset()
                async for joined, reached in self._missed(reader, at):
                    yield joined
                    at = reached
                async for frames in reader.queue.frames():
                    yield frames
                    last = frames.rfind(b"id: ")
                    if last >= 0:
                        at = Position.parse(frames[last + 4 : frames.find(b"\n", last)].decode()) or at
        finally:
            self.readers.discard(reader)
            self._follower.release()

    async def _missed(self, reader: Reader, at: Position) -> AsyncIterator[tuple[bytes, Position]]:
        """Pages from the streams until the reader can listen: in the end it does, from exactly there."""
        event_subject = "perfect.evt.*." + (reader.run_id or "*")
        log_subject = subjects.log(reader.run_id or "*")
        while True:
            now = self._follower.position
            if at.events >= now.events and at.logs >= now.logs:
                reader.listening = True  # nothing is awaited between this look and the listening
                return
            frames = []
            reached = now.events
            if at.events < now.events:
                found = await self._bus.read_raw(event_subject, after=at.events, until=now.events, limit=PAGE)
                frames += [frame(data, Position(seq, at.logs)) for seq, _, data in found]
                reached = found[-1][0] if len(found) == PAGE else now.events
            at = Position(max(reached, at.events), at.logs)
            reached = now.logs
            if reader.logs and at.logs < now.logs:
                found = await self._bus.read_raw(
                    log_subject, after=at.logs, until=now.logs, stream="LOGS", limit=PAGE
                )
                frames += [frame(data, Position(at.events, seq)) for seq, _, data in found]
                reached = found[-1][0] if len(found) == PAGE else now.logs
            at = Position(at.events, max(reached, at.logs))
            if frames:
                yield b"".join(frames), at

    async def _purged(self, at: Position, *, logs: bool) -> bool:
        """Whether messages after `at` have left the streams, or `at` was never on them."""
        now = self._follower.position
        if at.events > now.events or (logs and at.logs > now.logs):
            return True
        for stream, seq, last in (("EVENTS", at.events, now.events), ("LOGS", at.logs, now.logs)):
            if (stream == "EVENTS" or logs) and await missing(self._bus, stream, after=seq, through=last):
                return True  # aged out, or of runs that ended long ago
        return False

    async def _first(self, at: Position) -> Position:
        """Where to go on after a gap: at the first message that there is, or now if the streams are other ones."""
        now = self._follower.position
        if at.events > now.events or at.logs > now.logs:
            return now
        found = [(await self._bus.js.stream_info(name)).state.first_seq - 1 for name in ("EVENTS", "LOGS")]
        return Position(max(at.events, found[0]), max(at.logs, found[1]))
