"""Running flows in tests: in this process, with every event at hand, without a system.

    result = run_flow(etl, {"day": "2026-01-01"})
    assert result.state == "COMPLETED"
    assert [task.name for task in result.tasks] == ["extract", "load"]

`resume` runs a flow again on some of the events of an earlier execution, as a worker does after a crash. A run that
waits (`pause_flow_run`, `sleep`) ends as PAUSED at once, and `resume` ends the wait:

    again = resume(etl, result, run_input={"approved": True})

With a `Clock`, waiting takes no time: a flow that sleeps for a day, or retries after an hour, is tested in milliseconds.

    clock = Clock()
    assert run_flow(patient, clock=clock).state == "COMPLETED"
    assert clock.now() - START == timedelta(days=1)

`kill_everywhere` kills a flow after each of its events in turn, and runs it again on what was stored by then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.envelope import Configuration, Event, utc_now
from perfect_schemas.events import LogLine, OpenWait, RunStarted
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import open_waits
from perfect_schemas.folds.task import TaskLife
from perfect_sdk.context import tagged
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.running.local import opening
from perfect_sdk.running.session import Outcome, RunContext, RunSession
from perfect_sdk.testing.clock import START, Clock
from perfect_sdk.testing.kill import MortalJournal
from perfect_sdk.testing.waits import due, resumptions

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow

__all__ = [
    "START",
    "Clock",
    "Crash",
    "FlowResult",
    "kill_everywhere",
    "resume",
    "resume_async",
    "run_flow",
    "run_flow_async",
]


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

    @property
    def waits(self) -> Sequence[OpenWait]:
        """What a PAUSED run waits for, and until when at most (`wake_at`)."""
        return open_waits(self.history.run)


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """after: the last event that was stored. killed: what there was then. again: what the next worker made of it."""

    after: Event
    killed: FlowResult
    again: FlowResult


def run_flow(
    flow: "Flow[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    configuration: Configuration = "development",
    clock: Clock | None = None,
    kill_after: int | None = None,
) -> FlowResult:
    """Run `flow` with parameters as a trigger would give them (JSON values). An async flow gets its own event loop.

    clock: sleeps and retries take no time, and a flow that waits for the time goes on when it has come; what waits for
    a person stays PAUSED. kill_after: the process "dies" when so many events are stored (the first two are the run's
    `run.scheduled` and `run.started`); its state then is that of the events.
    """
    with clock or nullcontext():
        session = _begin(flow, parameters or {}, configuration, kill_after)
        found = _ended(session, session.execute_sync())
        while clock is not None and kill_after is None and (instant := due(found.events)) is not None:
            clock.move_to(instant)
            found = resume(flow, found)
    return found


async def run_flow_async(
    flow: "Flow[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    configuration: Configuration = "development",
    clock: Clock | None = None,
    kill_after: int | None = None,
) -> FlowResult:
    """`run_flow` for async flows, on the running loop."""
    with clock or nullcontext():
        session = _begin(flow, parameters or {}, configuration, kill_after)
        found = _ended(session, await session.execute_async())
        while clock is not None and kill_after is None and (instant := due(found.events)) is not None:
            clock.move_to(instant)
            found = await resume_async(flow, found)
    return found


def resume(
    flow: "Flow[..., Any]",
    events: "FlowResult | Iterable[Event]",
    *,
    objects: Mapping[str, bytes] | None = None,
    engine_retries: bool = False,
    run_input: Any = None,
    timed_out: bool = False,
    clock: Clock | None = None,
) -> FlowResult:
    """Run `flow` again after `events` (or those of a result), the first of which is its `run.scheduled`, in the run's
    next epoch.

    run_input: what a pause is resumed with. timed_out: its time is over instead, nobody has resumed it; with a clock
    that follows from the time. objects: results kept by reference, when only events are given.
    engine_retries: a flow with `retries` ends with `run.retrying`, as on a worker, instead of being tried again at once.
    """
    with clock or nullcontext():
        session = _begin_again(
            flow,
            events,
            objects or {},
            engine_retries=engine_retries,
            run_input=run_input,
            timed_out=timed_out,
        )
        found = _ended(session, session.execute_sync())
        while clock is not None and (instant := due(found.events)) is not None:
            clock.move_to(instant)
            found = resume(flow, found)
    return found


async def resume_async(
    flow: "Flow[..., Any]",
    events: "FlowResult | Iterable[Event]",
    *,
    objects: Mapping[str, bytes] | None = None,
    run_input: Any = None,
    timed_out: bool = False,
    clock: Clock | None = None,
) -> FlowResult:
    with clock or nullcontext():
        session = _begin_again(flow, events, objects or {}, run_input=run_input, timed_out=timed_out)
        found = _ended(session, await session.execute_async())
        while clock is not None and (instant := due(found.events)) is not None:
            clock.move_to(instant)
            found = await resume_async(flow, found)
    return found


def kill_everywhere(
    flow: "Flow[..., Any]",
    parameters: Mapping[str, Any] | None = None,
    *,
    configuration: Configuration = "development",
    clock: Clock | None = None,
) -> Iterator[Crash]:
    """Kill a run after each of its events in turn, and run it again on what was stored by then:

        for crash in kill_everywhere(etl, clock=Clock()):
            assert crash.again.result == 42, crash.after

    The flow runs twice an event. Every run has the same parameters, so what it does must not depend on runs before.
    """
    clock = clock or Clock()
    whole = run_flow(flow, parameters, configuration=configuration, clock=clock)
    first = next((n for n, event in enumerate(whole.events, 1) if event.type == "run.suspended"), None)
    for n in range(2, first or len(whole.events)):
        killed = run_flow(flow, parameters, configuration=configuration, clock=clock, kill_after=n)
        again = resume(flow, killed, clock=clock)
        yield Crash(after=killed.events[-1], killed=killed, again=again)


def _begin(
    flow: "Flow[..., Any]",
    parameters: Mapping[str, Any],
    configuration: Configuration,
    kill_after: int | None = None,
) -> RunSession:
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
    begin = opening(run)
    if kill_after is None:
        return RunSession(run, flow, MemoryJournal(run.run_id, begin))
    if kill_after < len(begin):
        raise ValueError(f"kill_after={kill_after}: a run that begins has {len(begin)} events already")
    return RunSession(run, flow, MortalJournal(run.run_id, begin, dies_after=kill_after))


def _begin_again(
    flow: "Flow[..., Any]",
    given: "FlowResult | Iterable[Event]",
    objects: Mapping[str, bytes],
    *,
    engine_retries: bool = False,
    run_input: Any = None,
    timed_out: bool = False,
) -> RunSession:
    before = given if isinstance(given, FlowResult) else None
    events = list(given.events if isinstance(given, FlowResult) else given)
    scheduled: Any = events[0]
    journal = MemoryJournal(scheduled.run_id, [*events, *resumptions(events, run_input, timed_out)])
    if before is not None:
        journal.shared.objects.update(before.journal.shared.objects)
        journal.shared.lines.extend(before.logs)
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
