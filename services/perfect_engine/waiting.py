"""Why a run does not run, in one sentence: pure."""

from collections.abc import Sequence

from perfect_engine.placement import Worker
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState
from perfect_schemas.views import waiting_sentence


def reason(life: RunLife | None, workers: Sequence[Worker], *, is_handed: bool) -> str:
    """Empty for a run that runs or has ended."""
    if life is None or life.state.is_final or life.state is RunState.RUNNING:
        return ""
    if life.state is not RunState.PENDING or life.origin == "child":
        return waiting_sentence(life) or ""
    flow = f"flow {life.flow_name!r}" + ("" if life.queue == "default" else f" on queue {life.queue!r}")
    serving = [worker for worker in workers if worker.serves((life.queue, life.flow_id))]
    if not serving:
        return f"no worker serves {flow}"
    slots = sum(worker.slots for worker in serving)
    if all(worker.held >= worker.slots for worker in serving):
        if slots == 1:
            return f"the only slot of the worker that serves {flow} is taken"
        which = "worker that serves" if len(serving) == 1 else f"{len(serving)} workers that serve"
        return f"all {slots} slots of the {which} {flow} are taken"
    return "handed over: a worker is about to take it" if is_handed else "waits for its turn"
