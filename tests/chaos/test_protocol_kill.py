"""20 kills of nats-server (SIGKILL, at random instants) while several processes append.

Afterwards: nothing that was acknowledged is missing, nothing is stored twice, every decision was taken once by exactly
one process, and no guarded event of an older claim stands behind a newer one. The seed is printed; set
PERFECT_TEST_SEED to repeat one (the instants, that is: what the processes do between them is up to the machine).
"""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from chaos import seeded

from perfect_bus import Bus, Conflict, Guard, append
from perfect_bus.bus import Connection
from perfect_bus.claim import start_epoch
from perfect_bus.outbox import Ack
from perfect_runtime.natsd import NatsServer
from perfect_schemas import codec, ids, subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunScheduled, RunStarted, TaskCompleted, TaskStarted

KILLS = 20
PUBLISHERS = 3
FLOW = ids.flow_id("chaos")
SHARED = [ids.child_run_id("00000000-0000-7000-8000-000000000000", f"decided-{n}") for n in range(3)]
CLAIMED = [ids.child_run_id("00000000-0000-7000-8000-000000000000", f"claimed-{n}") for n in range(3)]


# -- the publisher process


class Publisher:
    """Writes what it was told is stored, one line each, to a file of its own: `kind subject-or-run id`."""

    def __init__(self, bus: Bus, me: str, out: Path, rng: random.Random) -> None:
        self.bus, self.me, self.rng = bus, me, rng
        self.out = out.open("w", buffering=1)
        self.stopped = asyncio.Event()
        self.count = 0

    def note(self, *words: object) -> None:
        self.out.write(" ".join(map(str, words)) + "\n")

    async def run(self) -> None:
        await asyncio.gather(self.emit(), *(self.decide(run) for run in SHARED), self.claim())
        await self.bus.outbox.flush()

    async def emit(self) -> None:
        """Unguarded events on a subject of its own, in order."""
        while not self.stopped.is_set():
            for _ in range(20):
                event = task_event(TaskStarted, self.me, self.count, epoch=1)
                self.count += 1
                self.bus.outbox.put(
                    subjects.task(self.me), codec.encode(event), event.id, done=self.noting(event.id)
                )
            await self.bus.outbox.room()
            await asyncio.sleep(0.01)

    def noting(self, event_id: str):
        def done(answer) -> None:
            assert isinstance(answer, Ack), answer
            assert answer.error is None, answer
            self.note("emitted", self.me, event_id)

        return done

    async def decide(self, run_id: str) -> None:
        """Whoever finds n decisions takes the next one: guarded on the subject itself."""
        subject, last, count = subjects.run(run_id), 0, 0
        while not self.stopped.is_set():
            event = RunScheduled(
                id=ids.uuid7(),
                at=utc_now(),
                source=self.me,
                run_id=run_id,
                flow_id=FLOW,
                flow_name="chaos",
                priority=count,
            )
            try:
                last = await append(self.bus, subject, event, Guard(subject, last))
                count += 1
                self.note("decided", run_id, event.id)
            except Conflict as conflict:
                last = conflict.events[-1][0]
                count += len(conflict.events)
            await asyncio.sleep(self.rng.random() * 0.01)

    async def claim(self) -> None:
        """Take a run over from whoever has it, and complete tasks until the next one takes it."""
        while not self.stopped.is_set():
            run_id = self.rng.choice(CLAIMED)
            held = await self.bus.read(subjects.run(run_id))
            mine = await start_epoch(
                self.bus,
                run_id=run_id,
                epoch=len(held) + 1,
                after_seq=held[-1][0] if held else 0,
                client_id=self.me,
                client_name=self.me,
                flow_version=None,
            )
            if mine is None:
                continue
            self.note("claimed", run_id, mine.epoch)
            for n in range(self.rng.randrange(30)):
                event = task_event(TaskCompleted, run_id, n, epoch=mine.epoch, duration_ms=1)
                try:
                    await append(
                        self.bus, subjects.task(run_id), event, Guard(subjects.run(run_id), mine.seq)
                    )
                except Conflict:
                    break
                self.note("completed", run_id, event.id)


def task_event(kind: type, run_id: str, n: int, **values):
    key = f"flow/t-{n}"
    return kind(
        id=ids.uuid7(),
        at=utc_now(),
        source="chaos",
        run_id=run_id,
        task_run_id=ids.task_run_id(run_id, key),
        task_key=key,
        task_id=ids.task_id(FLOW, "t"),
        name="t",
        ordinal=n,
        **values,
    )


async def publish(connection_file: str, me: str, out: str) -> None:
    bus = await Bus.connect(Connection.load(Path(connection_file)), name=f"publisher {me}")
    publisher = Publisher(bus, me, Path(out), random.Random(me))
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), publisher.stopped.set)  # the end of stdin
    print("ready", flush=True)
    await publisher.run()
    loop.remove_reader(sys.stdin.fileno())
    assert await bus.close() == 0


# -- the test


def start_publisher(connection_file: Path, me: str, out: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, __file__, str(connection_file), me, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.timeout(180)
async def test_twenty_kills_lose_nothing_and_double_nothing(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    rng = seeded()
    connection_file = tmp_path / "connection.json"
    nats_server.connection.save(connection_file)
    names = [ids.uuid7() for _ in range(PUBLISHERS)]
    notes = {me: tmp_path / me for me in names}
    processes = [start_publisher(connection_file, me, notes[me]) for me in names]
    try:
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.03, 0.4))
            nats_server.kill()
            time.sleep(rng.choice([0.0, 0.0, 0.05, 0.2]))
            nats_server.start()
        for process in processes:
            process.stdin.close()
        assert [await asyncio.to_thread(process.wait, 60) for process in processes] == [0] * PUBLISHERS
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stdin.close()

    told = {me: [line.split() for line in notes[me].read_text().splitlines()] for me in names}
    for me in names:
        await check_emitted(bus, me, told[me])
    for run_id in SHARED:
        await check_decided(bus, run_id, told)
    for run_id in CLAIMED:
        await check_claimed(bus, run_id, told)


async def check_emitted(bus: Bus, me: str, told: list[list[str]]) -> None:
    stored = [event for _, event in await bus.read(subjects.task(me))]
    assert sorted(event.id for event in stored) == sorted(line[2] for line in told if line[0] == "emitted")
    assert [event.ordinal for event in stored] == list(range(len(stored)))  # in the order of their making
    assert len(stored) > KILLS


async def check_decided(bus: Bus, run_id: str, told: dict[str, list[list[str]]]) -> None:
    stored = [event for _, event in await bus.read(subjects.run(run_id))]
    claimed = Counter(line[2] for lines in told.values() for line in lines if line[:2] == ["decided", run_id])
    assert [event.priority for event in stored] == list(range(len(stored)))
    assert claimed == Counter(event.id for event in stored)
    assert max(claimed.values()) == 1
    for me, lines in told.items():
        mine = {line[2] for line in lines if line[:2] == ["decided", run_id]}
        assert mine == {event.id for event in stored if event.source == me}
    assert len(stored) > KILLS


async def check_claimed(bus: Bus, run_id: str, told: dict[str, list[list[str]]]) -> None:
    claims = await bus.read(subjects.run(run_id))
    completed = await bus.read(subjects.task(run_id))
    assert [event.epoch for _, event in claims] == list(range(1, len(claims) + 1))
    assert len({event.id for _, event in completed}) == len(completed)
    epoch = 0
    for _, event in sorted([*claims, *completed]):
        if isinstance(event, RunStarted):
            epoch = event.epoch
        else:
            assert event.epoch == epoch
    won = Counter(
        int(line[2]) for lines in told.values() for line in lines if line[:2] == ["claimed", run_id]
    )
    assert won == Counter(event.epoch for _, event in claims)
    kept = [line[2] for lines in told.values() for line in lines if line[:2] == ["completed", run_id]]
    assert sorted(kept) == sorted(event.id for _, event in completed)


if __name__ == "__main__":
    asyncio.run(publish(*sys.argv[1:]))
