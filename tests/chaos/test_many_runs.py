"""Far more runs at once than a worker has room for: each runs once, and no flow has to wait for another to be done."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from chaos import FULL, Witness, check_run, read_trace
from running import FLOWS, running

from perfect_bus.settings import Settings
from perfect_runtime.verify import verify
from perfect_schemas.events import RunStarted

RUNS = 1000 if FULL else 300
FIRST, FAIR = 200, 80


@pytest.mark.timeout(120)
async def test_two_flows_share_a_worker(settings: Settings, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        (await system.worker(FLOWS / "traced.py", processes=1)).stop()
        flows = ["A"] * (RUNS // 2) + ["B"] * (RUNS // 2)
        runs = await asyncio.gather(*(system.trigger(flow, path=str(trace)) for flow in flows))
        began = asyncio.get_running_loop().time()
        await system.worker(FLOWS / "traced.py", name="w2", processes=1)  # all of them wait for it
        for run_id in runs:
            await witness.until_final(run_id)
        took = asyncio.get_running_loop().time() - began
        lines = read_trace(trace)
        starts: list[tuple[int, str]] = []
        for flow, run_id in zip(flows, runs, strict=True):
            assert check_run(witness.events[run_id], lines[run_id], tasks=1, width=1) == 0
            assert witness.epoch(run_id) == 1, "it was started twice"
            starts += [(seq, flow) for seq, event in witness.events[run_id] if isinstance(event, RunStarted)]
        of_flow = Counter(flow for _, flow in sorted(starts)[:FIRST])
        print(f"{RUNS} runs in {took:.1f} s; among the first {FIRST} starts: {dict(of_flow)}")
        assert min(of_flow["A"], of_flow["B"]) >= FAIR
        difference = await verify(system.bus)
        assert difference.ok, "\n".join(difference.differences[:20])
        assert difference.runs == RUNS
