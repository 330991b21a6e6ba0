"""Guard rails for speed that hold on a noisy machine: ratios, never times.

What the machine can do at the moment is measured beside what Perfect does with it, in turn (A B A B …), with the same
client and the same data. Two ratios of each: of speed, which sees whatever is waited for, and of processor time, which
sees whatever is worked, and which a busy machine hardly blurs. The limits are twice and more away from what was measured
with twenty processes for each core: 0.08–0.6 tasks a publish at 1.4–3.4 times its work, 0.17–0.37 events an appended row at
4.8–5.4 times its work. So a wait has to be long, some 15 ms a task, to be noticed; work need only double or treble.

A failure means that something was added to the path of every task, or of every event: another round trip, a query for
each row, a lock that is waited for, a list that is searched. It never means that the machine is slow. How fast Perfect is
in figures, `benchmarks/` says.
"""

import asyncio
import contextlib
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
import structlog
from worker_process import Eyes, WorkerProcess, Workers

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_projector.batch import Message
from perfect_projector.continuity import FILE
from perfect_projector.disk import DiskGuard
from perfect_projector.duck import Duck
from perfect_projector.project import Projection
from perfect_projector.write_loop import WriteLoop
from perfect_registry.service import RegistryService
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import StoredValue, utc_now

FLOWS = Path(__file__).parent.parent / "flows" / "plain.py"
ROUNDS = 7
TASKS = 200
RUNS, RUN_TASKS = 5, 100  # of a round of projecting

LEAST_TASKS_A_PUBLISH = 0.025
MOST_WORK_A_TASK = 7.0
LEAST_PROJECTED_AN_APPENDED = 0.07
MOST_WORK_AN_EVENT = 11.0


class Work:
    """Processor time, seconds: of this process, or of another one."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def measured(self, pid: int | None = None) -> Iterator[None]:
        before = processor_s(pid)
        yield
        self.seconds += processor_s(pid) - before


class Works:
    """The same number of things, raw and ours."""

    def __init__(self) -> None:
        self.raw, self.ours = Work(), Work()

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.raw.seconds


def processor_s(pid: int | None) -> float:
    if pid is None:
        return time.process_time()
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


# -- tasks of a run, each recorded before the next begins, against publishing with acknowledgement


@pytest.fixture
async def worker(eyes: Eyes, workers: Workers, start_service: Any) -> WorkerProcess:
    await start_service(RegistryService)
    await start_service(EngineService)
    worker: WorkerProcess = workers.start(FLOWS, processes=1)
    await eyes.connected()
    return worker


@pytest.fixture
def eyes(bus: Bus, workers: Workers) -> Eyes:
    return Eyes(bus, workers)


async def test_tasks_committed_against_acknowledged_publishes(
    eyes: Eyes, bus: Bus, worker: WorkerProcess
) -> None:
    await tasks_per_s(eyes)  # what is loaded once is loaded
    await published_per_s(bus)
    speeds: list[float] = []
    works = Works()
    [executor] = worker.executors()
    for _ in range(ROUNDS):
        with works.raw.measured():
            raw = await published_per_s(bus)
        with works.ours.measured(executor):
            ours = await tasks_per_s(eyes)
        speeds.append(ours / raw)
    print(f"tasks to publishes: {statistics.median(speeds):.3f}, work {works.ratio:.2f}, {sorted(speeds)}")
    assert statistics.median(speeds) >= LEAST_TASKS_A_PUBLISH, sorted(speeds)
    assert works.ratio <= MOST_WORK_A_TASK


async def published_per_s(bus: Bus) -> float:
    """Messages of the size of a task's, one after another, each acknowledged by the server."""
    run_id = ids.uuid7()
    subject = subjects.task(run_id)
    _, data = next(said_task(run_id, 0))
    begin = time.perf_counter()
    for _ in range(TASKS):
        await bus.js.publish(subject, data)
    return TASKS / (time.perf_counter() - begin)


async def tasks_per_s(eyes: Eyes) -> float:
    """By the clock of the worker: from the end of the first task until the last one's."""
    run_id = await eyes.trigger("plain", count=TASKS)
    history = await eyes.until_final(run_id)
    assert history.run.state == "COMPLETED", history.run.error
    ended = [task.end_time for task in history.tasks.values()]
    assert len(ended) == TASKS
    return (TASKS - 1) / ((max(ended) - min(ended)) / timedelta(seconds=1))


# -- events into the read model, against appending the same rows to a table


class Told:
    """A journal whose messages are all there: `WriteLoop` takes them in batches of the size that it asks for."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._more = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._messages)

    def put(self, messages: list[Message]) -> None:
        self._messages += messages
        self._more.set()

    async def take(self, limit: int, *_gathering_s: float) -> list[Message]:
        while not self._messages:
            self._more.clear()
            await self._more.wait()
        taken, self._messages = self._messages[:limit], self._messages[limit:]
        return taken


class Projecting:
    """The write loop of the projector, over a file of its own."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self.settings = settings
        self.duck = Duck(settings.data_dir / FILE)
        guard = DiskGuard(settings.data_dir, min_free_bytes=0, say=print, clear=lambda: None)
        context = Context(bus=bus, settings=settings, log=structlog.get_logger())
        self.loop = WriteLoop(context, self.duck, Projection(), guard)
        self.loop.committed = {"DEFS": 0, "EVENTS": 0, "LOGS": 0}
        self.loop.heard = self._heard
        self._told = Told()
        self._end = 0
        self._done = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        self._task = asyncio.create_task(self.loop.run(self._told))  # type: ignore[arg-type]
        yield
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.loop.quiet()
        await asyncio.to_thread(self.loop.close)
        self.duck.close()

    async def rows_per_s(self, messages: list[Message]) -> float:
        assert self._task is not None
        self._end = messages[-1].seq
        self._done.clear()
        begin = time.perf_counter()
        self._told.put(messages)
        done = asyncio.create_task(self._done.wait())
        await asyncio.wait([done, self._task], return_when=asyncio.FIRST_COMPLETED)
        done.cancel()
        if self._task.done():
            self._task.result()
        return len(messages) / (time.perf_counter() - begin)

    def _heard(self, _: Any) -> None:
        if self.loop.committed["EVENTS"] >= self._end:
            self._done.set()


async def test_events_projected_against_rows_appended(bus: Bus, settings: Settings, tmp_path: Path) -> None:
    projecting = Projecting(bus, settings)
    raw = duckdb.connect(str(tmp_path / "raw.duckdb"), config={"threads": 2})
    raw.execute(
        "CREATE TABLE events (stream VARCHAR, seq UBIGINT, ts TIMESTAMP, type VARCHAR, run_id UUID, payload JSON)"
    )
    speeds: list[float] = []
    works = Works()
    async with projecting.under_way():
        for n in range(ROUNDS + 1):
            messages = said(n)
            if n == 1:  # the first round warms up
                works = Works()
            with works.raw.measured():
                appended = await asyncio.to_thread(appended_per_s, raw, messages, settings.batch_events)
            with works.ours.measured():
                projected = await projecting.rows_per_s(messages)
            speeds.append(projected / appended)
        assert projecting.loop.figures.failed == 0
        [(runs, tasks)] = projecting.duck.connection.execute(
            "SELECT (SELECT count(*) FROM runs WHERE state = 'COMPLETED'), "
            "(SELECT count(*) FROM task_runs WHERE state = 'COMPLETED')"
        ).fetchall()
    raw.close()
    assert (runs, tasks) == ((ROUNDS + 1) * RUNS, (ROUNDS + 1) * RUNS * RUN_TASKS)
    print(f"projected to appended: {statistics.median(speeds):.3f}, work {works.ratio:.2f}, {sorted(speeds)}")
    assert statistics.median(speeds) >= LEAST_PROJECTED_AN_APPENDED, sorted(speeds)
    assert works.ratio <= MOST_WORK_AN_EVENT


def appended_per_s(raw: duckdb.DuckDBPyConnection, messages: list[Message], at_once: int) -> float:
    """The log's own columns, in transactions of as many rows as the projector's."""
    begin = time.perf_counter()
    for first in range(0, len(messages), at_once):
        some = messages[first : first + at_once]
        columns = [
            [one.stream for one in some],
            [one.seq for one in some],
            [one.stored_ns // 1000 for one in some],
            ["task.completed"] * len(some),
            [one.subject.rpartition(".")[2] for one in some],
            [one.data.decode() for one in some],
        ]
        raw.execute(
            "INSERT INTO events SELECT unnest($1::VARCHAR[]), unnest($2::UBIGINT[]), make_timestamp(unnest($3::BIGINT[])), "
            "unnest($4::VARCHAR[]), unnest($5::VARCHAR[])::UUID, unnest($6::VARCHAR[])::JSON",
            columns,
        )
    return len(messages) / (time.perf_counter() - begin)


# -- what is said


def said(round_number: int) -> list[Message]:
    """The messages of whole runs, one run after another, as they stand on the stream."""
    flow_id = ids.flow_id("plain")
    rows: list[tuple[str, bytes]] = []
    for _ in range(RUNS):
        run_id = ids.uuid7()
        run = subjects.run(run_id)
        base = {"source": "test", "run_id": run_id}
        rows.append((run, encoded(e.RunScheduled, **base, flow_id=flow_id, flow_name="plain")))
        rows.append((run, encoded(e.RunQueued, **base)))
        rows.append((run, encoded(e.RunStarted, **base, epoch=1, client_id=flow_id, client_name="w")))
        for n in range(RUN_TASKS):
            rows += said_task(run_id, n)
        rows.append((run, encoded(e.RunCompleted, **base, epoch=1, duration_ms=100)))
    first = round_number * len(rows) + 1
    now = time.time_ns()
    return [Message("EVENTS", first + n, subject, data, now) for n, (subject, data) in enumerate(rows)]


def said_task(run_id: str, n: int) -> Iterator[tuple[str, bytes]]:
    key = f"nothing-{n}"
    task = {
        "source": "test", "run_id": run_id, "task_run_id": ids.task_run_id(run_id, key), "task_key": key,
        "task_id": ids.task_id(ids.flow_id("plain"), "nothing"), "name": "nothing", "ordinal": n, "epoch": 1,
    }  # fmt: skip
    subject = subjects.task(run_id)
    yield subject, encoded(e.TaskStarted, **task)
    result = StoredValue(value=msgspec.Raw(b"1"), size_bytes=1)
    yield subject, encoded(e.TaskCompleted, **task, duration_ms=1, result=result)


def encoded(kind: type[Any], **fields: Any) -> bytes:
    return codec.encode(kind(id=ids.uuid7(), at=utc_now(), **fields))
