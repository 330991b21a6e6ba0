"""Calling a flow as a function: here and now, recorded if a running system is found, plain otherwise."""

import os
import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import LogLine, RunScheduled, RunStarted
from perfect_sdk.context import tagged
from perfect_sdk.exceptions import ParameterTypeError
from perfect_sdk.recording.journal import RunCancelledError
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.running.session import Outcome, RunContext, RunSession
from perfect_sdk.states import State, failed_by

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow
    from perfect_sdk.recording.journal import Journal

_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
_hinted = False


def call_locally(
    flow: "Flow[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any], *, return_state: bool
) -> Any:
    """Parameters are checked now, also for an async flow."""
    values = flow.signature.bind(args, kwargs)
    if flow.should_validate_parameters:
        try:
            values = flow.signature.convert(values)
        except ParameterTypeError as error:
            if not return_state:
                raise
            return _ready(failed_by(error)) if flow.is_async else failed_by(error)
    run = local_run(flow, values)
    if flow.is_async:
        return _execute_async(flow, run, values, return_state)
    with _placed(flow, run) as (run, journal):
        session = RunSession(run, flow, journal, values=values, interruptible=True)
        journal.steers(session)
        outcome = session.execute_sync()
    return _result(outcome, return_state)


async def _ready(state: State[Any]) -> State[Any]:
    return state


async def _execute_async(
    flow: "Flow[..., Any]", run: RunContext, values: dict[str, Any], return_state: bool
) -> Any:
    import asyncio

    place = await asyncio.to_thread(_placed, flow, run)
    run, journal = await asyncio.to_thread(place.__enter__)
    try:
        session = RunSession(run, flow, journal, values=values, interruptible=True)
        journal.steers(session)
        outcome = await session.execute_async()
    finally:
        await asyncio.to_thread(place.__exit__, None, None, None)
    return _result(outcome, return_state)


def _result(outcome: Outcome, return_state: bool) -> Any:
    error = outcome.error
    told = isinstance(error, RunCancelledError)  # by the system, not by a KeyboardInterrupt or the like
    if error is not None and not isinstance(error, Exception) and outcome.state != "superseded" and not told:
        raise error
    if return_state:
        return outcome.as_state()
    if outcome.state == "completed" or outcome.is_several:
        return outcome.value
    if error is not None and outcome.state == "failed":
        raise error
    from perfect_sdk.exceptions import CancelledRun, CrashedRun

    if outcome.state == "cancelled":
        raise CancelledRun("the run was cancelled")
    reason = (
        "it has been taken over by another worker" if error is None else f"its end is not recorded: {error}"
    )
    raise CrashedRun(f"the run was given up here: {reason}") from error


def local_run(flow: "Flow[..., Any]", values: dict[str, Any]) -> RunContext:
    return RunContext(
        run_id=ids.uuid7(),
        flow_id=flow.id,
        flow_name=flow.name,
        configuration=configuration(),
        parameters=flow.signature.json(values),
        tags=tagged(flow.tags),
        name=flow.run_name(values),
        created_at=utc_now(),
    )


def configuration() -> Any:
    """PERFECT_CONFIGURATION for plain calls; otherwise development."""
    name = os.environ.get("PERFECT_CONFIGURATION", "development")
    return name if name in ("development", "debug", "release") else "development"


def _placed(flow: "Flow[..., Any]", run: RunContext) -> "AbstractContextManager[tuple[RunContext, Journal]]":
    """Where the run is recorded. PERFECT_OFFLINE=1: nowhere, without looking for a system."""
    if os.environ.get("PERFECT_OFFLINE", "") in ("", "0"):
        from perfect_sdk.connecting import connect

        try:
            run = msgspec.structs.replace(run, flow_version=flow.definition.flow_version)
            found = connect.connected_run(flow, run)
        except Exception as error:
            _hint(f"this run is not recorded: {error}")
            return Plain(run)
        if found is not None:
            return found
    _hint("no Perfect system found: this run is not recorded. `perfect up` starts one.")
    return Plain(run)


def _hint(text: str) -> None:
    global _hinted
    if not _hinted:
        _hinted = True
        print(f"perfect: {text}", file=sys.stderr)


class Plain:
    """A run that is recorded nowhere."""

    def __init__(self, run: RunContext) -> None:
        self._run = run

    def __enter__(self) -> "tuple[RunContext, Journal]":
        run = self._run
        journal = ConsoleJournal(run.run_id, keep=False)
        for event in opening(run):
            journal.commit(event)
        return run, journal

    def __exit__(self, *_: object) -> None:
        pass


def opening(run: RunContext) -> list[Any]:
    """`run.scheduled` and `run.started` of a run that its own process starts."""
    common: dict[str, Any] = {
        "source": run.source,
        "run_id": run.run_id,
        "flow_version": run.flow_version,
    }
    scheduled = RunScheduled(
        id=ids.uuid7(),
        at=utc_now(),
        flow_id=run.flow_id,
        flow_name=run.flow_name,
        configuration=run.configuration,
        parameters=run.parameters,
        tags=run.tags,
        origin="local",
        name=run.name,
        **common,
    )
    started = RunStarted(
        id=ids.uuid7(),
        at=utc_now(),
        epoch=run.epoch,
        client_id=run.client_id,
        client_name=run.client_name,
        **common,
    )
    return [scheduled, started]


class ConsoleJournal(MemoryJournal):
    """Keeps nothing but large results; log lines go to stderr (what was printed is on stdout already)."""

    def log(self, line: LogLine) -> None:
        echo(line)


def echo(line: LogLine) -> None:
    """A log line on stderr, for whoever has called the flow."""
    if line.logger == "print":
        return
    level = _LEVELS.get(line.level, str(line.level))
    at = line.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    where = f"{line.task_key}: " if line.task_key else ""
    print(f"{at} {level:<8} {where}{line.message}", file=sys.stderr)
