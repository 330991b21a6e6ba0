"""Processes of a worker that stand still (SIGSTOP) for longer than the lease, and then go on: too late."""

import asyncio
import os
import signal
import time
from pathlib import Path

import msgspec
import pytest
from chaos import FULL, Witness, check_run, read_trace, seeded, stored
from eventually import eventually
from running import FLOWS, running

from perfect_bus.settings import Settings
from perfect_runtime.verify import verify
from perfect_schemas.events import RunStarted, TaskStarted

TASKS, WIDTH = 200, 4  # of the flows in traced.py
SECONDS = {"Traced": 0.04, "Traced async": 0.12}  # a task; the run must outlast the lease
WHO = ("supervisor", "executor", "both")
CASES = (
    [(who, flow) for who in WHO for flow in SECONDS]
    if FULL
    else list(zip(WHO, [*SECONDS, "Traced"], strict=True))
)


@pytest.mark.timeout(90)
@pytest.mark.parametrize(("who", "flow"), CASES)
async def test_a_zombie_changes_nothing(who: str, flow: str, settings: Settings, tmp_path: Path) -> None:
    rng = seeded(f"{who} {flow}")
    settings = msgspec.structs.replace(settings, lease_s=1.0, presence_every_s=0.3)
    trace = tmp_path / "trace"
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        zombie = await system.worker(FLOWS / "traced.py", name="zombie")
        run_id = await system.trigger(flow, path=str(trace), seconds=SECONDS[flow])
        await witness.until_completed(run_id, rng.randrange(1, TASKS // 4))
        other = await system.worker(FLOWS / "traced.py", name="other")
        executors = zombie.executors()
        pids = {
            "supervisor": [zombie.process.pid],
            "executor": executors,
            "both": rng.sample([*executors, zombie.process.pid], len(executors) + 1),
        }[who]
        before = witness.epoch(run_id)
        assert before == 1
        stop(pids, signal.SIGSTOP)
        stopped_at = time.monotonic()
        await witness.until(lambda: witness.epoch(run_id) > before, 15, what="a claim by somebody else")
        # Somewhere between the new claim and the end of the run: the executors first, so that they can still write. Not
        # before a supervisor that stood still can know that its lease is over.
        known_after_s = settings.lease_s + settings.presence_every_s + 0.1
        await asyncio.sleep(max(rng.uniform(0, 1.5), stopped_at + known_after_s - time.monotonic()))
        stop([pid for pid in pids if pid in executors], signal.SIGCONT)
        if who != "executor":
            await asyncio.sleep(rng.uniform(0, 0.2))
            stop([zombie.process.pid], signal.SIGCONT)
        history = await witness.until_final(run_id)
        assert history.run.state == "COMPLETED"
        assert history.run.epoch == 2
        assert history.run.client_name == ("zombie" if who == "executor" else "other")

        events = await stored(system.bus, run_id)
        check_run(events, read_trace(trace)[run_id], tasks=TASKS, width=WIDTH)
        [claim] = [seq for seq, event in events if isinstance(event, RunStarted) and event.epoch == 2]
        late = [
            event
            for seq, event in events
            if seq > claim
            and event.epoch == 1
            and event.source != "projector"  # which warns of what stands still
        ]
        written = [event for event in late if not isinstance(event, TaskStarted)]
        assert not written, "a zombie wrote behind the new claim"
        assert len(late) <= WIDTH, "a zombie went on after its next completion"
        if who != "executor":
            await eventually(lambda: "longer than its lease" in zombie.log.read_text())

        # Both are as good as new.
        again = await asyncio.gather(*(system.trigger(flow, path=str(trace), seconds=0) for _ in range(4)))
        for each in again:
            assert (await witness.until_final(each)).run.state == "COMPLETED"
        if who != "executor":
            assert {one.executors()[0] for one in (zombie, other)}.isdisjoint(executors)
        difference = await verify(system.bus)
        assert difference.ok, "\n".join(difference.differences[:20])


def stop(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # its supervisor has put an end to it meanwhile
            assert number is signal.SIGCONT
