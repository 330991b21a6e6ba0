"""Kill -9 of any process at any instant while flows of 200 tasks run on two workers."""

import asyncio
import os
import random
import signal
from pathlib import Path

import msgspec
import pytest
from chaos import KILLS, Recovery, Staff, Witness, check_run, read_trace, report, seeded, stored
from running import FLOWS, Running, running

from perfect_bus.settings import Settings
from perfect_runtime.verify import verify

TASKS, WIDTH = 200, 4  # of the flows in traced.py
NAMES = ("w1", "w2")
OF_WORKERS = ("executor", "supervisor", "both")
VICTIMS = (*OF_WORKERS, "engine", "registry", "projector", "gateway", "nats-server")
LIVE = 2  # runs at a time


class Killer:
    """Kills, and notes how long the runs concerned stood still."""

    def __init__(self, system: Running, witness: Witness, staff: Staff, rng: random.Random) -> None:
        self.system, self.witness, self.staff, self.rng = system, witness, staff, rng
        self.recoveries: list[Recovery] = []
        self.disturbances = 0  # of runs, by the death of who executed them
        self._measuring: set[asyncio.Task[None]] = set()

    def kill(self, victim: str) -> asyncio.Task[None] | None:
        """Returns the measurement of the recovery, if any run was concerned."""
        if victim in OF_WORKERS:
            runs = self._kill_worker(victim)
        else:
            pid = self.system.pid_now(victim)
            if pid is None:  # down already: its last death was a moment ago
                return None
            os.kill(pid, signal.SIGKILL)
            runs = self.witness.live()
        if not runs:
            return None
        epochs = {run: self.witness.epoch(run) + (victim in OF_WORKERS) for run in runs}
        task = asyncio.create_task(self._measure(victim, epochs, asyncio.get_running_loop().time()))
        self._measuring.add(task)
        return task

    def _kill_worker(self, victim: str) -> list[str]:
        there = list(self.staff.workers)
        name = self.rng.choice([one for one in there if self.witness.held_by(one)] or there)
        worker = self.staff.workers[name]
        executors = worker.executors()
        pids = {
            "executor": executors[:1],
            "supervisor": [worker.process.pid],
            "both": self.rng.sample([*executors, worker.process.pid], len(executors) + 1),
        }[victim]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # its supervisor was the first to go, and took it with it
                assert victim == "both"
        if victim != "executor":
            worker.process.wait()
            self.staff.replace(name, self.rng.uniform(0, 1))
        runs = self.witness.held_by(name)
        self.disturbances += LIVE
        return runs

    async def _measure(self, victim: str, epochs: dict[str, int], since: float) -> None:
        self.recoveries.append(Recovery(victim, since, await self.witness.recovered(epochs, since)))

    async def measured(self) -> None:
        await asyncio.gather(*self._measuring)


@pytest.mark.timeout(60 + 9 * KILLS)
async def test_kill_9_of_anybody_at_any_instant(settings: Settings, tmp_path: Path) -> None:
    rng = seeded(f"{KILLS} kills")
    settings = msgspec.structs.replace(settings, lease_s=1.0, presence_every_s=0.3)
    trace = tmp_path / "trace"
    trace.touch()
    runs: list[str] = []
    over = False

    async with running(settings) as system, Witness(system.bus).watching() as witness:

        async def keep_running(flow: str) -> None:
            while not over:
                run_id = await system.trigger(flow, path=str(trace), seconds=0.01)
                runs.append(run_id)
                await witness.until_final(run_id, 120)

        staff = Staff(system, FLOWS / "traced.py")
        await asyncio.gather(*(staff.start(name) for name in NAMES))
        killer = Killer(system, witness, staff, rng)
        flows = ("Traced", "Traced async")
        keeping = [asyncio.create_task(keep_running(flow)) for flow in flows]
        await witness.until(lambda: any(witness.heard.values()))
        order = [*VICTIMS, *rng.choices(VICTIMS, k=max(KILLS - len(VICTIMS), 0))]
        rng.shuffle(order)
        try:
            for n, victim in enumerate(order[:KILLS]):
                await asyncio.sleep(rng.uniform(0, 0.6))  # an instant is what is wanted
                await witness.until(lambda: staff.workers)
                measurement = killer.kill(victim)
                # Now and then the next one dies before this one is over; never three of a run's in a row, which is
                # what makes the engine give a run up.
                if measurement is not None and (n % 2 or rng.random() < 0.5):
                    await measurement
            await killer.measured()
            await staff.complete()
        finally:
            over = True
        await asyncio.gather(*keeping)

        lines = read_trace(trace)
        again = epochs = 0
        for run_id in runs:
            events = await stored(system.bus, run_id)
            again += check_run(events, lines[run_id], tasks=TASKS, width=WIDTH)
            epochs += witness.epoch(run_id) - 1
        await system.until_ready()
        difference = await verify(system.bus, timeout_s=60)
    report(killer.recoveries)
    print(f"{len(runs)} runs of {TASKS} tasks; {epochs} times a run changed hands; {again} bodies ran again")
    assert difference.ok, "\n".join(difference.differences[:20])
    assert difference.task_runs == TASKS * len(runs)
    assert epochs <= killer.disturbances, "a run changed hands without a cause"
    assert again <= killer.disturbances * WIDTH


@pytest.mark.timeout(120)
@pytest.mark.parametrize("victim", OF_WORKERS)
async def test_the_usual_lease(victim: str, settings: Settings, tmp_path: Path) -> None:
    """With the lease that is the default, a run goes on within 10 s."""
    rng = seeded(victim)
    settings = msgspec.structs.replace(
        settings, lease_s=Settings().lease_s, presence_every_s=Settings().presence_every_s
    )
    assert settings.lease_s == 5
    trace = tmp_path / "trace"
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        staff = Staff(system, FLOWS / "traced.py")
        for name in NAMES if victim != "executor" else NAMES[:1]:
            await staff.start(name)
        run_id = await system.trigger("Traced", path=str(trace), seconds=0.03)
        await witness.until_completed(run_id, rng.randrange(5, TASKS // 2))
        killer = Killer(system, witness, staff, rng)
        killer.kill(victim)
        await killer.measured()
        await staff.complete()
        await witness.until_final(run_id)
        check_run(await stored(system.bus, run_id), read_trace(trace)[run_id], tasks=TASKS, width=WIDTH)
    report(killer.recoveries)
    assert killer.recoveries[0].seconds < (5 if victim == "executor" else 10)
