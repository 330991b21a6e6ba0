"""Why a run does not run, in one sentence: pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from perfect_engine.placement import Worker
from perfect_engine.slots import Asker, Limit, is_too_much
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState
from perfect_schemas.waiting_words import waiting_sentence

SHOWN = 3


class Around(msgspec.Struct, kw_only=True):
    """What a sentence about one run needs to know of the others.

    taken: flow name → how many slots of the workers that serve the run its runs take. flow_limit: of the run's flow.
    running: ids of the flow's runs that run. handed: runs of the flow that are handed over. slot: the sentence about the
    slots that a running run asks for. is_deployment_full: as many runs of its deployment go as may go at once.
    """

    workers: Sequence[Worker] = ()
    is_handed: bool = False
    taken: Mapping[str, int] = {}
    flow_limit: int | None = None
    running: Sequence[str] = ()
    handed: int = 0
    slot: str = ""
    is_deployment_full: bool = False


def reason(life: RunLife | None, around: Around) -> str:
    """Empty for a run that has ended, or that runs and waits for nothing."""
    if life is None or life.state.is_final:
        return ""
    if life.state is RunState.RUNNING:
        return waiting_sentence(life) or around.slot
    if life.state is not RunState.PENDING or life.origin == "child":
        return waiting_sentence(life) or ""
    return _pending(life, around)


def _pending(life: RunLife, around: Around) -> str:
    flow = f"flow {life.flow_name!r}" + ("" if life.queue == "default" else f" on queue {life.queue!r}")
    serving = [worker for worker in around.workers if worker.serves((life.queue, life.flow_id))]
    if not serving:
        return f"no worker serves {flow}"
    if around.is_handed:
        waits = "handed over: a worker is about to take it"
    else:
        limit = around.flow_limit
        if limit is not None and len(around.running) + around.handed >= limit:
            return _flow_limit(life, limit, around.running)
        if around.is_deployment_full:
            return f"the limit of deployment '{life.flow_name}/{life.deployment}' is reached"
        waits = "waits for its turn"
    slots = sum(worker.slots for worker in serving)
    if any(worker.held < worker.slots for worker in serving):
        return waits
    if slots == 1:
        by = f" by a run of flow {next(iter(around.taken))!r}" if len(around.taken) == 1 else ""
        return f"the only slot of the worker that serves {flow} is taken{by}"
    which = "worker that serves" if len(serving) == 1 else f"{len(serving)} workers that serve"
    by = ", ".join(f"{count} by flow {name!r}" for name, count in _most(around.taken))
    return f"all {slots} slots of the {which} {flow} are taken{f': {by}' if by else ''}"


def _most(taken: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(taken.items(), key=lambda one: (-one[1], one[0]))[:SHOWN]


def _flow_limit(life: RunLife, limit: int, running: Sequence[str]) -> str:
    if limit == 0:
        return f"the limit of flow {life.flow_name!r} is 0: none of its runs may start"
    held = f", held by {_runs(running)}" if running else ""
    return f"the limit of flow {life.flow_name!r} is reached ({limit} at once){held}"


def _runs(run_ids: Sequence[str]) -> str:
    shown = ", ".join(sorted(run_ids)[:SHOWN])
    more = len(run_ids) - SHOWN
    return f"{'run' if len(run_ids) == 1 else 'runs'} {shown}" + (f" and {more} more" if more > 0 else "")


def slot_sentence(asker: Asker, limits: Sequence[Limit], ahead: int) -> str:
    """limits: those of the names that it asks for."""
    for limit in limits:
        if is_too_much(limit, asker.occupy):
            return (
                f"asks for {asker.occupy} slots of {limit.name!r}, which has {limit.slots}: "
                "raise the limit to let it go on"
            )
    for limit in limits:
        if limit.free is not None and limit.free < asker.occupy and not limit.holds(asker.holder):
            return f"waits for a slot of {limit.name!r}, {_holders(limit)}"
    names = ", ".join(repr(name) for name in asker.names)
    return f"waits for its turn at {names}" + (f": {ahead} before it" if ahead else "")


def _holders(limit: Limit) -> str:
    """Who holds it, longest first."""
    held: list[tuple[datetime, str]] = sorted(
        (grant.since, run_id) for run_id, places in limit.grants.items() for grant in places.values()
    )
    shown = ", ".join(f"run {run_id} since {since:%Y-%m-%d %H:%M:%S} UTC" for since, run_id in held[:SHOWN])
    more = len(held) - SHOWN
    return f"held by {shown}" + (f" and {more} more" if more > 0 else "")
