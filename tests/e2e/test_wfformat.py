"""Executions of real workflows (WfFormat 1.5), replayed as runs: every task in its place, by the log itself."""

import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from running import Running, running
from site_client import Site

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify
from perfect_schemas import codec, subjects
from perfect_schemas import events as e

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "support" / "small_workflow.json"
TRACES = sorted((ROOT.parent / "shared" / "data" / "wfinstances").glob("*.json"))
LONGEST_S = 3.0  # what the longest critical path is scaled to


@pytest.fixture
def dag(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that reads the files, as the benchmark has it."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("dag")
    sys.modules.pop("dag", None)


def asked_for(monkeypatch: pytest.MonkeyPatch, files: list[Path], **more: Any) -> None:
    monkeypatch.setenv("DAG_FILES", json.dumps([str(file) for file in files]))
    for name, value in more.items():
        monkeypatch.setenv(f"DAG_{name.upper()}", str(value))


async def replayed(system: Running, dags: list[Any]) -> None:
    """The workflows run once, all at a time; the log and what is shown of each are what its file says."""
    await system.worker(ROOT / "benchmarks" / "dag_flows.py")
    async with Site.of(system.system.url) as site:
        runs = {dag.name: (await site.trigger(dag.name))["id"] for dag in dags}
        await asyncio.gather(*(shown(site, dag, runs[dag.name]) for dag in dags))
    for dag in dags:
        await each_after_its_parents(system, dag, runs[dag.name])
    report = await verify(system.bus)
    assert report.ok, "\n".join(report.differences[:20])


async def shown(site: Site, dag: Any, run_id: str) -> None:
    watching = asyncio.create_task(watched(site, run_id))
    run = await site.finished(run_id, timeout_s=50)
    progress = await watching
    assert (run["state"], run["result"], run["progress"]) == ("COMPLETED", len(dag.steps), 100), run["error"]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    tasks = await site.all(f"/api/engine/runs/{run_id}/tasks")
    assert [task["state"] for task in tasks] == ["COMPLETED"] * len(dag.steps)
    flow = await site.get(f"/api/engine/flows/{run['flow_id']}")
    assert {task["name"] for task in flow["tasks"]} == set(dag.kinds)


async def watched(site: Site, run_id: str) -> list[float]:
    """The progress as the API shows it, with every look, until it is 100."""
    found: list[float] = []
    while not found or found[-1] < 100:
        found.append((await site.run(run_id))["progress"])
        await asyncio.sleep(0.02)
    return found


async def each_after_its_parents(system: Running, dag: Any, run_id: str) -> None:
    """In the order of the log: a task's `started` stands behind the `completed` of everything that it waits for.

    Keys are given in the order of submission, so the nth call of a kind is the nth step of that kind.
    """
    keys: dict[str, str] = {}
    counts: dict[str, int] = {}
    for step in dag.steps:
        ordinal = counts.get(step.kind, 0)
        counts[step.kind] = ordinal + 1
        keys[step.id] = f"{step.kind}-{ordinal}"
    started: dict[str, int] = {}
    completed: dict[str, int] = {}
    for seq, _, data in await system.bus.read_raw(subjects.task(run_id)):
        event = codec.decode(data)
        if isinstance(event, e.TaskStarted):
            assert event.task_key not in started, f"{event.task_key} was started twice"
            started[event.task_key] = seq
        elif isinstance(event, e.TaskCompleted):
            completed[event.task_key] = seq
    assert started.keys() == completed.keys() == set(keys.values())
    for step in dag.steps:
        for parent in step.parents:
            assert completed[keys[parent]] < started[keys[step.id]], (
                f"{step.id} began before {parent} was done"
            )


@pytest.mark.parametrize(("style", "concurrency"), [("threads", 2), ("asyncio", 0)])
async def test_a_small_workflow(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, dag: Any, style: str, concurrency: int
) -> None:
    asked_for(monkeypatch, [SMALL], scale=0.01, style=style, concurrency=concurrency)
    async with running(settings, groups=GROUPS) as system:
        await replayed(system, [dag.Dag.load(SMALL)])


@pytest.mark.skipif(not TRACES, reason="the traces of real workflows are not beside this folder")
async def test_real_workflows(settings: Settings, monkeypatch: pytest.MonkeyPatch, dag: Any) -> None:
    dags = [dag.Dag.load(file) for file in TRACES]
    asked_for(monkeypatch, TRACES, scale=LONGEST_S / max(one.critical_path_s for one in dags))
    async with running(settings, groups=GROUPS) as system:
        await replayed(system, dags)


def test_what_a_schedule_can_reach_at_best(dag: Any) -> None:
    found = dag.Dag.load(SMALL)
    assert (len(found.steps), found.depth) == (14, 5)
    assert list(found.kinds) == ["fetch", "notes", "left", "right", "join", "count", "merge"]
    assert found.kinds["count"] == pytest.approx(2.75)
    assert found.critical_path_s == pytest.approx(2 + 4 + 1 + 4.5 + 2)
    assert found.total_s == found.makespan_s(1) == found.bound_s(1) == pytest.approx(35)
    assert found.bound_s(2) == pytest.approx(17.5)
    assert found.makespan_s(2) >= found.bound_s(2)


def test_files_that_do_not_fit_together_are_refused(dag: Any, tmp_path: Path) -> None:
    def steps(*rows: tuple[str, tuple[str, ...]]) -> list[Any]:
        return [dag.Step(name, name, 1.0, parents) for name, parents in rows]

    with pytest.raises(ValueError, match=r"wait for each other in a circle: (a → b → a|b → a → b)"):
        dag.Dag("odd", steps(("a", ("b",)), ("b", ("a",))))
    with pytest.raises(ValueError, match="the parent 'x', which is no task"):
        dag.Dag("odd", steps(("a", ("x",))))
    with pytest.raises(ValueError, match="two tasks have the same id"):
        dag.Dag("odd", steps(("a", ()), ("a", ())))
    file = tmp_path / "other.json"
    file.write_text('{"workflow": {"tasks": []}}')
    with pytest.raises(ValueError, match=r"is not an execution in WfFormat 1\.5: 'specification' is missing"):
        dag.Dag.load(file)
