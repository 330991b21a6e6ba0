"""A read model with a long history, made by the projector's own write loop from events that were said in the past."""

import asyncio
import contextlib
import math
import multiprocessing
import time
from collections import deque
from datetime import datetime, timedelta
from typing import Any

import msgspec
import shapes
import structlog
from nats.js import api

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.batch import Message
from perfect_projector.continuity import FILE
from perfect_projector.disk import DiskGuard
from perfect_projector.duck import Duck
from perfect_projector.project import Projection
from perfect_projector.write_loop import WriteLoop
from perfect_runtime.natsd import NatsServer
from perfect_runtime.service import Context
from perfect_schemas import streams

DAYS = 20
AT_ONCE = 20
CHUNK = 5_000


class History(msgspec.Struct, frozen=True):
    """`runs` runs of `tasks` tasks and `lines` log lines each, evenly over `DAYS` days up to `end`, AT_ONCE of them at a
    time.
    """

    runs: int
    end: datetime
    tasks: int = 5
    lines: int = 10

    @property
    def events(self) -> int:
        return self.runs * (shapes.RUN_EVENTS + 2 * self.tasks)

    @property
    def log_messages(self) -> int:
        return self.runs * (self.lines // shapes.LINES_A_MESSAGE)

    def at(self, number: int) -> datetime:
        """When the run began."""
        wave = number // AT_ONCE
        waves = math.ceil(self.runs / AT_ONCE)
        return self.end - timedelta(days=DAYS) * (waves - wave) / waves

    def run_id(self, number: int) -> str:
        return shapes.run_id(number, self.at(number))


class Told:
    """What a process of its own makes of a history, as the write loop takes it from its journal."""

    def __init__(self, history: History, definitions: list[Message]) -> None:
        context = multiprocessing.get_context("spawn")
        self._queue = context.Queue(8)
        self._teller = context.Process(target=_tell, args=(history, self._queue), daemon=True)
        self._teller.start()
        self._ready = deque([definitions])
        self._is_over = False

    @property
    def waiting(self) -> int:
        return 0 if self._is_over else CHUNK

    async def take(self, _limit: int, *_gathering_s: float) -> list[Message]:
        if self._ready:
            return self._ready.popleft()
        rows: list[tuple[str, int, str, bytes, int]] | None = await asyncio.to_thread(self._queue.get)
        if rows is None:
            self._is_over = True
            self._teller.join()
            await asyncio.Event().wait()
            return []
        return [Message(*row) for row in rows]


def _tell(history: History, queue: Any) -> None:
    """Waves of AT_ONCE runs, their events in turn, in lists of about CHUNK messages; None at the end."""
    seqs = {"EVENTS": 0, "LOGS": 0}
    rows: list[tuple[str, int, str, bytes, int]] = []
    for first in range(0, history.runs, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, history.runs))
        turns = deque(
            shapes.run(number, history.at(number), tasks=history.tasks, lines=history.lines)
            for number in numbers
        )
        while turns:
            one = turns.popleft()
            said = next(one, None)
            if said is None:
                continue
            turns.append(one)
            subject, event = said
            stream = "LOGS" if subject.startswith("perfect.log.") else "EVENTS"
            seqs[stream] += 1
            stored_ns = int(event.at.timestamp() * 1e6) * 1000
            rows.append((stream, seqs[stream], subject, msgspec.json.encode(event), stored_ns))
        if len(rows) >= CHUNK:
            queue.put(rows)
            rows = []
    if rows:
        queue.put(rows)
    queue.put(None)


async def fill(settings: Settings, history: History) -> dict[str, float]:
    """Leaves a data folder on which `perfect up` goes on: the file, and streams that begin where it ends.

    Returns events and log lines a second, and the seconds that it took.
    """
    server = NatsServer(settings)
    server.start()
    bus = await Bus.connect(server.connection, name="benchmark history")
    try:
        await _begin_streams(bus, history)
        context = Context(bus=bus, settings=settings, log=structlog.get_logger())
        definitions = await _define(bus, history)
        duck = Duck(settings.data_dir / FILE)
        guard = DiskGuard(
            settings.data_dir, min_free_bytes=settings.min_free_bytes, say=print, clear=lambda: None
        )
        projection = Projection()
        loop = WriteLoop(context, duck, projection, guard)
        ends = {"EVENTS": history.events, "LOGS": history.log_messages}
        loop.committed = {"DEFS": 0, "EVENTS": 0, "LOGS": 0}
        done = asyncio.Event()

        def heard(_: Any) -> None:
            if all(loop.committed[stream] == end for stream, end in ends.items()):
                done.set()

        loop.heard = heard
        begin = time.perf_counter()
        writing = asyncio.create_task(loop.run(Told(history, definitions)))  # type: ignore[arg-type]
        ending = asyncio.create_task(done.wait())
        await asyncio.wait([writing, ending], return_when=asyncio.FIRST_COMPLETED)
        took_s = time.perf_counter() - begin
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        await loop.in_writer(duck.checkpoint)
        loop.quiet()
        await asyncio.to_thread(loop.close)
        duck.close()
    finally:
        await bus.close()
        server.stop()
    if loop.figures.failed or projection.unknown or projection.invalid or projection.ignored:
        raise RuntimeError("events of the history were not understood")
    return {
        "fill_s": round(took_s, 1),
        "fill_events_per_s": round(history.events / took_s),
        "fill_lines_per_s": round(history.runs * history.lines / took_s),
    }


async def _begin_streams(bus: Bus, history: History) -> None:
    for stream, end in ((streams.EVENTS, history.events), (streams.LOGS, history.log_messages)):
        await bus.js.add_stream(
            api.StreamConfig(
                name=stream.name,
                subjects=stream.subjects,
                discard=api.DiscardPolicy.NEW if stream.discard == "new" else api.DiscardPolicy.OLD,
                duplicate_window=streams.DUPLICATE_WINDOW_S,
                allow_direct=True,
                allow_batched=stream.allow_batched or None,
                first_seq=end + 1,
            )
        )
    await bus.ensure_streams()


async def _define(bus: Bus, history: History) -> list[Message]:
    """The flows are said on the bus, too: the registry and the next projector read them there."""
    messages = []
    at = history.at(0) - timedelta(minutes=1)
    for subject, data, event_id in shapes.encoded(shapes.definitions(at)):
        ack = await bus.outbox.send(subject, data, event_id)
        messages.append(Message("DEFS", ack.seq, subject, data, int(at.timestamp()) * 10**9))
    return messages
