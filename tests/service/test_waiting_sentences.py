"""Why a run waits, as the read model says it and as the fold of its events does: the same."""

from typing import Any

from eventually import eventually
from projected import ask
from said_runs import TASK_ID, Runs

from perfect_bus import Bus
from perfect_gateway.facts import NO_FACTS
from perfect_gateway.folded import read_history, run_of
from perfect_projector.service import ProjectorService
from perfect_schemas import events, ids, queries
from perfect_schemas.errors import NotFound


async def test_for_a_worker_of_a_queue(bus: Bus, start_service: Any) -> None:
    await start_service(ProjectorService)
    runs = Runs(bus)
    run_id = await runs.start()
    queued = {
        "task_run_id": ids.task_run_id(run_id, "there-0"), "task_key": "there-0", "task_id": TASK_ID,
        "name": "there", "epoch": 1, "attempt": 1, "queue": "gpu", "dispatch_id": ids.uuid7(),
    }  # fmt: skip
    for suspended in (False, True):
        if suspended:
            await runs.say(run_id, events.RunSuspended, waits_for="task", key="there-0", epoch=1)
        else:
            await runs.say(run_id, events.TaskQueued, **queued)
        folded = run_of(await read_history(bus, run_id), NO_FACTS)
        assert folded is not None
        assert folded.waiting_for is not None
        assert "waits for a worker of queue 'gpu'" in folded.waiting_for
        shown = await projected(bus, run_id, folded.state)
        assert shown.waiting_for == folded.waiting_for


async def projected(bus: Bus, run_id: str, state: str) -> Any:
    """Once the read model has it in that state and its task."""

    async def there() -> Any:
        try:
            whole = await ask(bus, "whole_run", queries.WholeRun(run_id=run_id), queries.RunWhole)
        except NotFound:
            return None
        return whole.run if whole.run.state == state and whole.task_runs.task_runs else None

    return await eventually(there)
