"""Running flows in tests: in this process, with every event at hand, without a system.

    result = run_flow(etl, {"day": "2026-01-01"})
    assert result.state == "COMPLETED"
    assert [task.name for task in result.tasks] == ["extract", "load"]

`resume` runs a flow again on some of the events of an earlier execution, as a worker does after a crash. A run that
waits (`pause_flow_run`, `sleep`) ends as PAUSED at once, and `resume` ends the wait:

    again = resume(etl, result.events, run_input={"approved": True})
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.envelope import Configuration, Event, utc_now
from perfect_schemas.events import LogLine, RunResumed, RunStarted
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife, evolve
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import RunState
from perfect_sdk.context import tagged
from perfect_sdk.local import opening
from perfect_sdk.memory import MemoryJournal
from perfect_sdk.session import Outcome, RunContext, RunSession
from perfect_sdk.values import to_builtins

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow


class FlowResult(msgspec.Struct, frozen=True, kw_only=True):
    """run: what was run. outcome: how it ended, in full. events: of the run and its child runs, as stored.

    live: the payloads of `update_progress`.
    """

    run: RunContext
    outcome: Outcome
    events: list[Event]
    logs: list[LogLine]
    live: list[dict[str, Any]]
    journal: Any
    history: Any

    @property
    def state(self) -> str:
        """The run's state as its events tell it: "COMPLETED", "FAILED" …"""
        return self.history.run.state.value

    @property
    def result(self) -> Any:
        """What the flow returned. Raises what it raised."""
        if self.outcome.error is not None:
            raise self.outcome.error
        return self.outcome.value

    @property
    def error(self) -> BaseException | None:
        return self.outcome.error

    @property
    def tasks(self) -> Sequence[TaskLife]:
        """The run's own tasks, in the order in which they first started."""
        return list(self.history.tasks.values())


def run_flow(
    flow: "Flow[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    configuration: Configuration = "development",
) -> FlowResult:
    """Run `flow` with parameters as a trigger would give them (JSON values). An async flow gets its own event loop."""
    session = _begin(flow, parameters or {}, configuration)
    return _ended(session, session.execute_sync())


async def run_flow_async(
    flow: "Flow[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    configuration: Configuration = "development",
) -> FlowResult:
    """`run_flow` for async flows, on the running loop."""
    session = _begin(flow, parameters or {}, configuration)
    return _ended(session, await session.execute_async())


def resume(
    flow: "Flow[..., Any]",
    events: Iterable[Event],
    *,
    objects: Mapping[str, bytes] | None = None,
    engine_retries: bool = False,
    run_input: Any = None,
    timed_out: bool = False,
) -> FlowResult:
    """Run `flow` again after `events`, the first of which is its `run.scheduled`, in the run's next epoch.

    run_input: what a pause is resumed with. timed_out: its time is over instead, nobody has resumed it.
    objects: results kept by reference (`result.journal.shared.objects`). engine_retries: a flow with `retries` ends
    with `run.retrying`, as on a worker, instead of being tried again at once.
    """
    session = _begin_again(
        flow,
        list(events),
        objects or {},
        engine_retries=engine_retries,
        run_input=run_input,
        timed_out=timed_out,
    )
    return _ended(session, session.execute_sync())


async def resume_async(
    flow: "Flow[..., Any]",
    events: Iterable[Event],
    *,
    objects: Mapping[str, bytes] | None = None,
    run_input: Any = None,
    timed_out: bool = False,
) -> FlowResult:
    session = _begin_again(flow, list(events), objects or {}, run_input=run_input, timed_out=timed_out)
    return _ended(session, await session.execute_async())


def _begin(flow: "Flow[..., Any]", parameters: Mapping[str, Any], configuration: Configuration) -> RunSession:
    run = RunContext(
        run_id=ids.uuid7(),
        flow_id=flow.id,
        flow_name=flow.name,
        configuration=configuration,
        parameters=dict(parameters),
        tags=tagged(flow.tags),
        source="testing",
        created_at=utc_now(),
        suspends=True,
    )
    return RunSession(run, flow, MemoryJournal(run.run_id, opening(run)))


def _begin_again(
    flow: "Flow[..., Any]",
    events: list[Event],
    objects: Mapping[str, bytes],
    *,
    engine_retries: bool = False,
    run_input: Any = None,
    timed_out: bool = False,
) -> RunSession:
    scheduled: Any = events[0]
    journal = MemoryJournal(scheduled.run_id, [*events, *_resumptions(events, run_input, timed_out)])
    journal.shared.objects.update(objects)
    life = journal.history().run
    assert life is not None
    run = RunContext(
        run_id=life.id,
        flow_id=life.flow_id,
        flow_name=life.flow_name,
        flow_version=life.flow_version,
        epoch=life.epoch + 1,
        configuration=scheduled.configuration,
        parameters=life.parameters,
        tags=life.tags,
        source="testing",
        created_at=life.created_at,
        engine_retries=engine_retries,
        suspends=True,
    )
    claim = RunStarted(
        id=ids.uuid7(),
        at=utc_now(),
        source="testing",
        run_id=run.run_id,
        epoch=run.epoch,
        client_id="",
    )
    journal.commit(claim)
    return RunSession(run, flow, journal, journal.history())


def _resumptions(events: list[Event], run_input: Any, timed_out: bool) -> list[Event]:
    """What ends the waits of the run and its child runs, as the engine says it."""
    lives: dict[str, RunLife | None] = {}
    for seq, event in enumerate(events, 1):
        if event.run_id is not None and event.type.startswith("run."):
            lives[event.run_id] = evolve(lives.get(event.run_id), event, seq)
    resumed: list[Event] = []
    for run_id, life in lives.items():
        if life is not None and life.state is RunState.PAUSED:
            is_input = life.waits_for == "input"
            at = life.wake_at if (timed_out or not is_input) and life.wake_at is not None else utc_now()
            given = to_builtins(run_input) if is_input and not timed_out else None
            resumed.append(RunResumed(id=ids.uuid7(), at=at, source="testing", run_id=run_id, input=given))
    return resumed


def _ended(session: RunSession, outcome: Outcome) -> FlowResult:
    journal: Any = session.journal
    history: History = journal.history()
    return FlowResult(
        run=session.run,
        outcome=outcome,
        events=journal.events,
        logs=journal.logs,
        live=journal.shared.live,
        journal=journal,
        history=history,
    )
