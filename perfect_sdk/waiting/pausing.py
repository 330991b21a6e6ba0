"""Pausing a run until somebody resumes it, and durable sleep.

Each function is for sync code, and for async code with `await`, like its twin that begins with `a`.
"""

from typing import Any
from urllib.parse import quote

import msgspec

from perfect_schemas import ids, subjects
from perfect_schemas.commands import ResumeRun
from perfect_schemas.errors import InvalidInput, ServiceUnavailable
from perfect_schemas.folds.history import Wait
from perfect_sdk.connecting.system import System, is_async_code
from perfect_sdk.context import Frame, current, require
from perfect_sdk.encoding.values import to_builtins
from perfect_sdk.exceptions import FlowPauseTimeout, NotSupported, ParameterTypeError
from perfect_sdk.input import from_input, input_schema
from perfect_sdk.running.effects import Future, Steps, drive, drive_async
from perfect_sdk.waiting import steering, waits

PAUSE_S = 3600.0
BY = "perfect_sdk"


def pause_flow_run(
    wait_for_input: Any = None,
    timeout: float | None = PAUSE_S,
    poll_interval: float | None = None,  # noqa: ARG001
    key: str | None = None,
) -> Any:
    """Pause the run until it is resumed (its page, `perfect runs resume`, the API, `resume_flow_run`).

    wait_for_input: the type of what it is to be resumed with: builtin, dataclass, Struct, RunInput, pydantic model.
        Returned is what was given, as that type; None when nothing is asked for.
    timeout: seconds; None waits for ever. key: a pause with the same key waits once in a run and then gives the same.
    poll_interval: has no effect, nothing is polled.

    The run holds no slot while it waits. Its code stays in the worker's memory for a while (`PERFECT_SUSPEND_AFTER`, 10 s)
    and goes on where it stands if the run is resumed in that time. Otherwise it is unwound, so that its `finally` blocks
    run, and called again later: completed tasks are not run again, code outside of tasks is.
    Raises FlowPauseTimeout, NotSupported in a task, MissingContextError outside of a run.
    """
    frame = require("pause_flow_run()")
    if is_async_code(frame):
        return drive_async(_pause(frame, wait_for_input, timeout, key))
    return drive(_pause(frame, wait_for_input, timeout, key))


async def apause_flow_run(
    wait_for_input: Any = None,
    timeout: float | None = PAUSE_S,  # noqa: ASYNC109  as its twin
    poll_interval: float | None = None,  # noqa: ARG001
    key: str | None = None,
) -> Any:
    """`pause_flow_run` for async code."""
    return await drive_async(_pause(require("apause_flow_run()"), wait_for_input, timeout, key))


def suspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: str | None = None,
    timeout: float | None = PAUSE_S,
    key: str | None = None,
) -> Any:
    """The same as `pause_flow_run`, of the run that calls it.

    flow_run_id: of another run: it stops at its next call of a task, a child flow or a wait, and waits until somebody
    resumes it (`timeout` does not apply). Also from outside of a run. Raises NotFound, Conflicting unless it is RUNNING.
    """
    frame = current.get()
    if flow_run_id is None or _is_own(frame, flow_run_id):
        return pause_flow_run(wait_for_input, timeout, key=key)
    steering.refuse_own_wishes(wait_for_input=wait_for_input, key=key)
    if is_async_code(frame):
        return steering.apause_other(frame, str(flow_run_id))
    return steering.pause_other(frame, str(flow_run_id))


async def asuspend_flow_run(
    wait_for_input: Any = None,
    flow_run_id: str | None = None,
    timeout: float | None = PAUSE_S,  # noqa: ASYNC109  as its twin
    key: str | None = None,
) -> Any:
    """`suspend_flow_run` for async code."""
    frame = current.get()
    if flow_run_id is None or _is_own(frame, flow_run_id):
        return await apause_flow_run(wait_for_input, timeout, key=key)
    steering.refuse_own_wishes(wait_for_input=wait_for_input, key=key)
    return await steering.apause_other(frame, str(flow_run_id))


def _is_own(frame: Frame | None, flow_run_id: Any) -> bool:
    return frame is not None and str(flow_run_id) == frame.session.run.run_id


def _pause(frame: Frame, kind: Any, timeout: float | None, key: str | None) -> Steps[Any]:
    frame.check()
    session = frame.session
    if frame.call is not None:
        raise NotSupported(
            f"task {frame.call.place.key!r}: pause_flow_run() pauses the whole run: call it in the flow, not in a task"
        )
    if not session.run.suspends and not session.journal.is_recorded:
        raise NotSupported(
            "pause_flow_run() needs a running system: this run is not recorded, so nobody could resume it. "
            "`perfect up` starts one"
        )
    schema = input_schema(kind)
    if key is None:
        place = frame.scope.take("pause")
        session.expect_no_task(place)
        key = place.key
    else:
        key = f"pause:{key}"
    if key not in session.waits:
        session.say(20, f"flow {session.run.flow_name!r} is paused until it is resumed ({key})")
    wait: Wait = yield from waits.pause(frame, key, timeout=timeout, input_schema=schema)
    if wait.timed_out:
        raise FlowPauseTimeout(f"run {session.run.run_id} was paused at {key!r} and not resumed in time")
    try:
        return from_input(wait.input, kind)
    except (msgspec.ValidationError, ValueError) as error:
        raise ParameterTypeError(f"the run was resumed with what does not fit {kind!r}: {error}") from error


def sleep(seconds: float) -> Any:
    """Wait, without holding a slot, and through restarts of anything: when it is over was recorded once.

    In a flow's body its code stays in the worker's memory for a while (`PERFECT_SUSPEND_AFTER`, 10 s) and goes on where it
    stands if the sleep ends in that time. Otherwise it is unwound, so that its `finally` blocks run, and called again
    later: completed tasks are not run again, code outside of tasks is. In a task the wait is a part of the task's work: a
    task that is interrupted begins again. Outside of a run it is `time.sleep`.
    """
    frame = current.get()
    if is_async_code(frame):
        return asleep(seconds)
    if frame is None:
        import time

        time.sleep(seconds)
        return None
    drive(waits.sleep(frame, _seconds(seconds)))
    return None


async def asleep(seconds: float) -> None:
    """`sleep` for async code."""
    frame = current.get()
    if frame is None:
        import asyncio

        await asyncio.sleep(seconds)
        return
    await drive_async(waits.sleep(frame, _seconds(seconds)))


def _seconds(value: Any) -> float:
    seconds = value.total_seconds() if hasattr(value, "total_seconds") else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1e10:
        raise InvalidInput(f"sleep() takes a number of seconds from 0 on (or a timedelta), not {value!r}")
    return float(seconds)


def resume_flow_run(flow_run_id: str, run_input: Any = None, key: str | None = None) -> Any:
    """Resume a paused run, with what it waits for. key: of the pause that is meant, when it waits for several inputs at
    once, as the run's page shows it (`pause-0`; `pause:name` of one with a key of its own).

    Raises NotFound, Conflicting when it does not wait for input, InvalidInput naming the fields that do not fit.
    """
    frame = current.get()
    if is_async_code(frame):
        return aresume_flow_run(flow_run_id, run_input, key)
    _resume(frame, flow_run_id, run_input, key)
    return None


async def aresume_flow_run(flow_run_id: str, run_input: Any = None, key: str | None = None) -> None:
    """`resume_flow_run` for async code."""
    import asyncio

    frame = current.get()
    if frame is None or not frame.session.journal.is_recorded:
        await asyncio.to_thread(_resume, None, flow_run_id, run_input, key)
        return
    frame.check()
    await Future(frame.session, _ask(frame.session.journal, flow_run_id, run_input, key)).run_async()


def _resume(frame: Frame | None, flow_run_id: str, run_input: Any, key: str | None) -> None:
    if frame is not None and frame.session.journal.is_recorded:
        frame.check()
        Future(frame.session, _ask(frame.session.journal, flow_run_id, run_input, key)).run()
        return
    try:
        system = System.of_process()
    except ServiceUnavailable:
        _resume_by_http(flow_run_id, run_input, key)
        return
    _ask(system, flow_run_id, run_input, key).result()


def _ask(system: Any, flow_run_id: str, run_input: Any, key: str | None) -> Any:
    command = ResumeRun(
        run_id=str(flow_run_id), by=BY, input=to_builtins(run_input), event_id=ids.uuid7(), key=key
    )
    return system.ask(subjects.command("engine", "resume"), command)


def _resume_by_http(flow_run_id: str, run_input: Any, key: str | None) -> None:
    """Where NATS cannot be reached from."""
    from perfect_bus.settings import Settings
    from perfect_sdk.http.transport import HttpTransport

    settings = Settings.load()
    transport = HttpTransport(f"http://{settings.host}:{settings.port}")
    body = {"input": to_builtins(run_input)} | ({} if key is None else {"key": key})
    transport.post(f"/api/engine/runs/{quote(str(flow_run_id), safe='')}/resume", body)


__all__ = [
    "apause_flow_run",
    "aresume_flow_run",
    "asleep",
    "asuspend_flow_run",
    "pause_flow_run",
    "resume_flow_run",
    "sleep",
    "suspend_flow_run",
]
