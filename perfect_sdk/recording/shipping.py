"""Log lines and live progress of one run on their way to NATS: batched, bounded, never waited for.

A batch leaves 50 ms after its first line, or with 200 lines, or before the run's end. While the outbox is more than
half full (NATS is away, or a flood), lines are counted instead of kept; the next batch says how many.
"""

import asyncio
import threading
from collections import deque
from typing import Any

import msgspec

from perfect_bus.outbox import MAX_BYTES, MAX_MESSAGES, Ack
from perfect_schemas import codec, ids, subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.events import LogBatch, LogLine
from perfect_sdk.connecting.io import IO

BATCH_S = 0.05
BATCH_LINES = 200
MAX_BATCH_BYTES = 240 * 1024
MAX_LINE_CHARS = 32 * 1024
MAX_WAITING_LINES = 50_000


class LogShipper:
    """Thread-safe. `suppressed_total`: lines that were counted and not kept. `epoch`: of what is said from now on."""

    def __init__(self, io: IO, *, run_id: str, epoch: int, source: str) -> None:
        self._io = io
        self._run_id = run_id
        self.epoch = epoch
        self._source = source
        self._lines: deque[LogLine] = deque()
        self._progress: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._armed = False
        self._stopped = False
        self._suppressed = 0
        self._unacknowledged = 0
        self._settled = asyncio.Event()
        self.suppressed_total = 0

    def line(self, line: LogLine) -> None:
        lines = self._lines
        if len(lines) >= MAX_WAITING_LINES or self._over_quota():
            with self._lock:
                self._suppressed += 1
                self.suppressed_total += 1
        else:
            if len(line.message) > MAX_LINE_CHARS:
                cut = len(line.message) - MAX_LINE_CHARS
                line = msgspec.structs.replace(
                    line, message=f"{line.message[:MAX_LINE_CHARS]} … [{cut:,} more characters were cut off]"
                )
            lines.append(line)
        if not self._armed:
            self._armed = True
            self._io.post(self._arm)
        elif len(lines) % BATCH_LINES == 0:
            self._io.post(self._ship)

    def live(self, payload: dict[str, Any]) -> None:
        """The newest payload of each task leaves with the next batch; what it overtakes is never sent."""
        self._progress[str(payload.get("task_run_id") or payload.get("task_key") or "")] = payload
        if not self._armed:
            self._armed = True
            self._io.post(self._arm)

    def flush(self) -> None:
        """Everything written so far goes into the outbox in front of whatever the caller puts there next."""
        if self._lines or self._suppressed or self._progress:
            self._io.post(self._ship)

    @property
    def is_busy(self) -> bool:
        """Whether lines are on their way that are not stored yet."""
        return bool(self._lines or self._suppressed or self._unacknowledged)

    async def settle(self) -> None:
        """On the I/O loop: wait until everything written so far is stored. The run's end comes after it: LOGS and
        EVENTS are streams of their own, and an order between them is made by waiting only.
        """
        self._ship()
        while self._unacknowledged:
            self._settled.clear()
            await self._settled.wait()

    def stop(self) -> None:
        self._stopped = True
        self._lines.clear()

    def _over_quota(self) -> bool:
        bus = self._io._bus
        if bus is None:
            return False
        outbox = bus.outbox
        return outbox.pending >= MAX_MESSAGES // 2 or outbox._bytes >= MAX_BYTES // 2

    # -- on the I/O loop

    def _arm(self) -> None:
        self._io.loop.call_later(BATCH_S, self._tick)

    def _tick(self) -> None:
        self._armed = False
        self._ship()

    def _ship(self) -> None:
        if self._stopped:
            return
        self._ship_progress()
        while self._lines or (self._suppressed and not self._over_quota()):
            batch: list[LogLine] = []
            size = 0
            while self._lines and len(batch) < BATCH_LINES and size < MAX_BATCH_BYTES:
                line = self._lines[0]
                size += 4 * len(line.message) + 200  # at most; most lines are far smaller
                if batch and size >= MAX_BATCH_BYTES:
                    break
                batch.append(self._lines.popleft())
            with self._lock:
                suppressed, self._suppressed = self._suppressed, 0
            event = LogBatch(
                id=ids.uuid7(),
                at=utc_now(),
                source=self._source,
                run_id=self._run_id,
                epoch=self.epoch,
                lines=batch,
                suppressed=suppressed,
            )
            self._unacknowledged += 1
            self._io.bus.outbox.put(
                subjects.log(self._run_id), codec.encode(event), event.id, done=self._acknowledged
            )

    def _acknowledged(self, answer: Ack | BusUnavailable) -> None:
        self._unacknowledged -= 1
        if not self._unacknowledged:
            self._settled.set()
        if isinstance(answer, Ack) and answer.error is not None:
            self._io.bus.report(f"{subjects.log(self._run_id)}: {answer.error.description}")

    def _ship_progress(self) -> None:
        if not self._progress:
            return
        payloads, self._progress = list(self._progress.values()), {}
        nc = self._io.bus.nc
        if nc.is_connected:
            subject = subjects.live(self._run_id)
            for payload in payloads:
                self._io.spawn(nc.publish(subject, codec.encode(payload)))
