"""Where the inputs of tasks came from: on the stream, in the read model, over HTTP, of a run's fork, and of many tasks."""

from collections.abc import AsyncIterator

import pytest
from projected import ask
from running import FLOWS, SINGLE, Running, running
from site_client import Site

from perfect_runtime.verify import verify
from perfect_schemas import drawn, ids, subjects
from perfect_schemas.commands import ForkRun
from perfect_schemas.events import TaskQueued, TaskStarted

EXPECTED = {
    "split-0": [],
    "load-0": ["split-0"],
    "load-1": ["split-0"],
    "clean-0": ["load-0"],
    "clean-1": ["load-1"],
    "score-0": ["clean-0", "clean-1"],
    "note-0": ["clean-0", "clean-1"],
    "report-0": ["clean-0", "clean-1", "score-0", "note-0"],
    "report-0/inside-0": ["clean-0", "clean-1"],
    "note-1": [],
}


@pytest.fixture
async def system(settings) -> AsyncIterator[Running]:
    async with running(settings, groups=SINGLE) as system:
        await system.worker(FLOWS / "joined.py", name="here")
        yield system


async def of_tasks(site: Site, run_id: str) -> dict[str, list[str]]:
    await site.finished(run_id)
    found = await site.get(f"/api/engine/runs/{run_id}/tasks")
    return {task["task_key"]: task["after"] for task in found}


async def test_where_inputs_came_from_is_known_to_all(system):
    await system.worker(FLOWS / "joined.py", name="gpu", queue="gpu")
    run_id = await system.trigger("Joined")
    history = await system.until_final(run_id)
    assert history.run.state == "COMPLETED"
    assert {life.key: life.after for life in history.tasks.values()} == EXPECTED

    said = [event for _, event in await system.bus.read(subjects.task(run_id))]
    (queued,) = [event for event in said if isinstance(event, TaskQueued)]
    assert queued.after == EXPECTED["score-0"]
    claims = [event for event in said if isinstance(event, TaskStarted) and event.task_key == "score-0"]
    assert [claim.after for claim in claims] == [[]], "the worker that takes it need not say it again"

    async with Site.of(system.system.url) as site:
        assert await of_tasks(site, run_id) == EXPECTED
        fork_id = ids.uuid7()
        fork = ForkRun(run_id=fork_id, origin_run_id=run_id, by="ann", from_key="report-0")
        await system.bus.ask(subjects.command("engine", "fork"), fork)
        assert await of_tasks(site, fork_id) == EXPECTED
    assert (await verify(system.bus)).differences == []


async def test_groups_of_many_tasks(system):
    run_id = await system.trigger("Alone", count=60)
    async with Site.of(system.system.url) as site:
        await site.finished(run_id)
    found = await ask(system.bus, "task_groups", drawn.TaskGroups(run_id=run_id), drawn.TaskGroupsView)
    assert {group.family: group.after for group in found.groups} == {
        "split": {},
        "load": {"split": 60},
        "clean": {"clean": 1, "load": 60},
    }
