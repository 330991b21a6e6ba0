"""nats-server is away for a while, in the middle of 50 runs that log all the time: nobody notices, apart from time."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from chaos import FULL, Witness, seeded, stored
from memory import forget_peak, peak_rss_bytes, rss_bytes
from running import FLOWS, running

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime.natsd import NatsServer
from perfect_runtime.verify import verify
from perfect_schemas import subjects
from perfect_schemas.events import LogBatch

RUNS = 50
LINES_PER_SECOND = 1000 if FULL else 50  # of each run
AWAY_S = 30 if FULL else 8
BEFORE_S, AFTER_S = 4, 4
MAX_GROWTH_BYTES = 64 * 1024 * 1024


@pytest.mark.timeout(400 if FULL else 120)
async def test_nats_is_away_while_runs_log(
    settings: Settings, nats_server: NatsServer, tmp_path: Path
) -> None:
    rng = seeded(f"{RUNS} runs, {LINES_PER_SECOND} lines/s each, {AWAY_S} s")
    connection = nats_server.connection
    url = f"nats://{connection.user}:{connection.password}@{connection.url.removeprefix('nats://')}"
    settings = msgspec.structs.replace(settings, data_dir=tmp_path / "system", nats_url=url)
    seconds = BEFORE_S + AWAY_S + AFTER_S
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        worker = await system.worker(FLOWS / "chatty.py", processes=2, concurrency=RUNS // 2)
        options = {"lines_per_second": LINES_PER_SECOND, "seconds": seconds, "tasks": BEFORE_S}
        runs = await asyncio.gather(*(system.trigger("Chatty", **options) for _ in range(RUNS)))
        await witness.until(lambda: all(witness.completed(run) for run in runs), what="a task of each run")
        await asyncio.sleep(rng.uniform(0, 1))
        pids = [worker.process.pid, *worker.executors()]
        before = rss_bytes(pids)
        forget_peak(pids)
        nats_server.kill()
        await asyncio.sleep(AWAY_S)
        nats_server.start()
        for run in runs:
            await witness.until_final(run, 4 * seconds)
        grown = peak_rss_bytes(pids) - before

        lines = suppressed = 0
        for run in runs:
            history = witness.histories[run]
            assert history.run.state == "COMPLETED", (history.run.error, history.run.reason)
            assert history.run.epoch == 1, "it changed hands"
            assert {task.state for task in history.tasks.values()} == {"COMPLETED"}
            assert len(history.tasks) == BEFORE_S
            events = [event.type for _, event in await stored(system.bus, run)]
            assert events.count("task.started") == events.count("task.completed") == BEFORE_S
            kept, left_out = await logged(system.bus, run)
            assert kept + left_out == int(history.run.result.value), "a line is neither kept nor counted"
            lines, suppressed = lines + kept, suppressed + left_out
        assert [worker.process.pid, *worker.executors()] == pids
        print(
            f"{lines + suppressed} lines written, {lines} kept, {suppressed} suppressed; the worker grew by "
            f"{grown / 2**20:.0f} MB from {before / 2**20:.0f} MB"
        )
        assert lines > 0
        if LINES_PER_SECOND == 1000:
            assert suppressed > 0
        assert grown <= MAX_GROWTH_BYTES
        difference = await verify(system.bus, timeout_s=120)
        assert difference.ok, "\n".join(difference.differences[:20])
        assert difference.log_lines == lines


async def logged(bus: Bus, run_id: str) -> tuple[int, int]:
    """How many of the flow's numbered lines are kept, in order and none twice, and how many are said to be left out."""
    numbers: list[int] = []
    suppressed = 0
    for _, batch in await bus.read(subjects.log(run_id), stream="LOGS"):
        assert isinstance(batch, LogBatch)
        suppressed += batch.suppressed
        numbers += [int(line.message.split()[1]) for line in batch.lines]
    assert numbers == sorted(set(numbers))
    return len(numbers), suppressed
