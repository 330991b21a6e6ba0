"""Runs that wait survive whatever is killed meanwhile: pauses quickly one after the other, child runs in one slot."""

import asyncio
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from chaos import KILLS, Staff, Witness, seeded
from running import FLOWS, Running, running

from perfect_bus.settings import Settings
from perfect_runtime.verify import verify
from perfect_schemas import ids, subjects
from perfect_schemas.commands import PauseRun, ResumeRun
from perfect_schemas.events import RunCompleted, RunResumed, RunStarted, TaskCompleted

VICTIMS = ("executor", "engine", "nats-server", "supervisor", "projector")
ROUNDS = max(KILLS // 3, len(VICTIMS))
SOON_S = 0.1


def kill(system: Running, staff: Staff, victim: str, name: str = "w") -> bool:
    """Whether there was anybody to kill. name: of the worker."""
    worker = staff.workers.get(name)
    if victim in ("executor", "supervisor"):
        if worker is None:
            return False
        pids = worker.executors()[:1] if victim == "executor" else [worker.process.pid]
    else:
        pids = [pid for pid in [system.pid_now(victim)] if pid is not None]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if victim == "supervisor":
        assert worker is not None
        worker.process.wait()
        staff.replace(name, 0)
    return bool(pids)


def check_events(witness: Witness, run_id: str) -> None:
    """One end, one completion a task, epochs without a gap."""
    events = [event for _, event in witness.events[run_id]]
    assert sum(isinstance(event, RunCompleted) for event in events) == 1
    completed = Counter(event.task_key for event in events if isinstance(event, TaskCompleted))
    assert set(completed.values()) <= {1}
    epochs = [event.epoch for event in events if isinstance(event, RunStarted)]
    assert epochs == list(range(1, len(epochs) + 1))


def interruptions(witness: Witness, run_id: str) -> int:
    """How often its code was cut off, each time with one body at most: also where a machine with too much to do let the
    lease of a worker that nobody has killed run out.
    """
    events = [event for _, event in witness.events[run_id]]
    starts = sum(isinstance(event, RunStarted) for event in events)
    return starts - 1 - sum(isinstance(event, RunResumed) for event in events)


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_pause_resume_and_pause_again(settings: Settings, tmp_path: Path) -> None:
    rng = seeded(f"{ROUNDS} kills")
    settings = msgspec.structs.replace(settings, lease_s=1.0, presence_every_s=0.3)
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        staff = Staff(system, FLOWS / "waiting.py", concurrency=1)
        await staff.start("w")

        async def paused(run_id: str, key: str) -> None:
            def holds() -> Any:
                run = witness.histories[run_id].run
                return run is not None and run.state == "PAUSED" and run.wait_key == key

            await witness.until(holds, 30, what=f"{key} of {run_id}")

        async def resume(run_id: str, value: Any) -> None:
            command = ResumeRun(run_id=run_id, by="test", input=value, event_id=ids.uuid7())
            await system.bus.ask(subjects.command("engine", "resume"), command)

        async def one(n: int, victim: str | None) -> None:
            path = tmp_path / f"trace-{n}"
            run_id = await system.trigger("approved", path=str(path))
            at = rng.randrange(4)  # before the first resume, or …
            for step, (key, value) in enumerate([("pause-0", {"approved": True}), ("pause-1", 7)]):
                await paused(run_id, key)
                if victim and at == 2 * step:
                    kill(system, staff, victim)
                await asyncio.sleep(SOON_S)
                await resume(run_id, value)
                if victim and at == 2 * step + 1:
                    await asyncio.sleep(rng.uniform(0, SOON_S))
                    kill(system, staff, victim)
            history = await witness.until_final(run_id)
            assert history.run.state == "COMPLETED", (history.run.error, history.run.reason)
            assert bytes(history.run.result.value) == b'"True  7"'
            check_events(witness, run_id)
            bodies = Counter(path.read_text().split())
            assert set(bodies) == {"before", "between", "after"}
            assert bodies.total() <= 3 + interruptions(witness, run_id)
            await staff.complete()

        await one(0, None)
        order = [*VICTIMS, *rng.choices(VICTIMS, k=ROUNDS - len(VICTIMS))]
        for n, victim in enumerate(order, 1):
            await one(n, victim)
        await system.until_ready()
        difference = await verify(system.bus)
        assert difference.ok, "\n".join(difference.differences[:20])


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_three_nested_runs_in_one_slot(settings: Settings, tmp_path: Path) -> None:
    rng: random.Random = seeded(f"{ROUNDS} kills")
    settings = msgspec.structs.replace(settings, lease_s=1.0, presence_every_s=0.3)
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        staff = Staff(system, FLOWS / "waiting.py", concurrency=1)
        await staff.start("w")
        order: list[str | None] = [None, *VICTIMS, *rng.choices(VICTIMS, k=ROUNDS - len(VICTIMS))]
        for n, victim in enumerate(order):
            path = tmp_path / f"trace-{n}"
            known = set(witness.histories)
            run_id = await system.trigger("top", path=str(path))
            if victim is not None:
                await asyncio.sleep(rng.uniform(0, 0.3))  # an instant is what is wanted
                kill(system, staff, victim)
            history = await witness.until_final(run_id)
            assert history.run.state == "COMPLETED", (victim, history.run.error, history.run.reason)
            assert bytes(history.run.result.value) == b"50"
            runs = set(witness.histories) - known
            assert len(runs) == 3, "a child run was started twice"
            for each in runs:
                await witness.until_final(each)
                check_events(witness, each)
            bodies = Counter(path.read_text().splitlines())
            assert set(bodies) == {"top", "middle", "leaf 4", "top again"}
            assert bodies.total() <= 4 + (victim in ("executor", "supervisor"))
            await staff.complete()
        await system.until_ready()
        difference = await verify(system.bus)
        assert difference.ok, "\n".join(difference.differences[:20])


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_paused_from_outside(settings: Settings, tmp_path: Path) -> None:
    """Killed between `run.pausing` and `run.suspended`, or a little later: it pauses all the same, and goes on."""
    rng = seeded(f"{ROUNDS} kills")
    settings = msgspec.structs.replace(settings, lease_s=1.0, presence_every_s=0.3)
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        staff = Staff(system, FLOWS / "paused.py", concurrency=1)
        await staff.start("w")
        names = {f"s{n}" for n in range(40)}

        def run_of(run_id: str) -> Any:
            return witness.histories[run_id].run

        async def one(n: int, victim: str | None) -> None:
            folder = tmp_path / str(n)
            folder.mkdir()
            run_id = await system.trigger("paused-steps", folder=str(folder))
            enough = rng.randrange(1, 12)
            await witness.until(lambda: len(witness.histories[run_id].tasks) >= enough, 30, what="tasks")
            await system.bus.ask(subjects.command("engine", "pause"), PauseRun(run_id=run_id, by="test"))
            if victim is not None:
                await asyncio.sleep(rng.uniform(0, 0.04))  # an instant is what is wanted
                kill(system, staff, victim)
            await witness.until(lambda: run_of(run_id).state == "PAUSED", 30, what=f"{run_id} paused")
            assert run_of(run_id).wait_key.startswith("pausing-")
            await asyncio.sleep(SOON_S)
            command = ResumeRun(run_id=run_id, by="test", event_id=ids.uuid7())
            await system.bus.ask(subjects.command("engine", "resume"), command)
            history = await witness.until_final(run_id)
            assert history.run.state == "COMPLETED", (victim, history.run.error, history.run.reason)
            assert bytes(history.run.result.value) == b"40"
            check_events(witness, run_id)
            bodies = Counter((folder / "ran").read_text().split())
            assert set(bodies) == names
            assert bodies.total() <= len(names) + interruptions(witness, run_id)
            await staff.complete()

        await one(0, None)
        order = [*VICTIMS, *rng.choices(VICTIMS, k=ROUNDS - len(VICTIMS))]
        for n, victim in enumerate(order, 1):
            await one(n, victim)
        await system.until_ready()
        difference = await verify(system.bus)
        assert difference.ok, "\n".join(difference.differences[:20])


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_suspended_for_a_distributed_task(settings: Settings, tmp_path: Path) -> None:
    """Killed while it waits without a slot, or at the moment at which the task ends."""
    rng = seeded(f"{ROUNDS} kills")
    settings = msgspec.structs.replace(settings, lease_s=1.0, presence_every_s=0.3)
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        here = Staff(system, FLOWS / "far.py", concurrency=1)
        gpu = Staff(system, FLOWS / "far.py", concurrency=1, queue="gpu")
        await here.start("w")
        await gpu.start("gpu")

        async def one(n: int, victim: str | None, of_task: bool) -> None:
            path = tmp_path / f"trace-{n}"
            run_id = await system.trigger("one", path=str(path))

            def is_suspended() -> bool:
                run = witness.histories[run_id].run
                return run is not None and run.state == "PAUSED" and run.awaited is not None

            await witness.until(is_suspended, 30, what=f"{run_id} suspended")
            is_late = rng.random() < 0.5
            if not is_late and victim:
                kill(system, *((gpu, victim, "gpu") if of_task else (here, victim)))
                await asyncio.sleep(rng.uniform(0, 2.5))  # in which the lease ends, or not
            Path(f"{path}-a").touch()
            if is_late and victim:
                await asyncio.sleep(rng.uniform(0, SOON_S))
                kill(system, *((gpu, victim, "gpu") if of_task else (here, victim)))
            history = await witness.until_final(run_id)
            assert history.run.state == "COMPLETED", (victim, history.run.error, history.run.reason)
            assert bytes(history.run.result.value) == b'"beforeaafter"'
            check_events(witness, run_id)
            bodies = Counter(line.split()[0] for line in path.read_text().splitlines())
            assert bodies["near-before"] == 1
            assert bodies["far-a"] <= 1 + (of_task and victim in ("executor", "supervisor"))
            assert bodies["near-after"] <= 1 + interruptions(witness, run_id)
            await here.complete()
            await gpu.complete()

        await one(0, None, False)
        order = [(victim, False) for victim in VICTIMS] + [("supervisor", True), ("executor", True)]
        order += [(victim, rng.random() < 0.5) for victim in rng.choices(VICTIMS, k=ROUNDS)]
        for n, (victim, of_task) in enumerate(order, 1):
            await one(n, victim, of_task)
        await system.until_ready()
        difference = await verify(system.bus)
        assert difference.ok, "\n".join(difference.differences[:20])
