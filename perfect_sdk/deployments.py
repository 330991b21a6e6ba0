"""Running a flow that a worker serves, from anywhere: `run_deployment("etl", parameters={…})`.

Within a run it is a child run, queued like any other. The parent records its outcome like a task's, and holds no slot
while it waits for it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids, subjects
from perfect_schemas.commands import Triggered, TriggerRun
from perfect_schemas.envelope import ErrorInfo, StoredValue, utc_now
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.folds.run import RunLife
from perfect_sdk import results
from perfect_sdk.calling.execution import Call
from perfect_sdk.calling.policy import Policy
from perfect_sdk.connecting.system import System, is_async_code
from perfect_sdk.context import Frame, current, of_run, tagged
from perfect_sdk.elsewhere import names_of
from perfect_sdk.encoding import failures, secrecy
from perfect_sdk.encoding.values import encode, to_builtins
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.running.effects import Blocking, Future, Steps, drive, drive_async
from perfect_sdk.runs import FlowRun
from perfect_sdk.states import State, StateType
from perfect_sdk.waiting import waits

if TYPE_CHECKING:
    from perfect_schemas.commands import Reply

__all__ = ["arun_deployment", "run_deployment"]

_triggered = msgspec.json.Decoder(Triggered).decode


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of the child, as its parent's event keeps it. value: the result's JSON; ref: where it is kept."""

    id: str
    flow_id: str
    state: str
    name: str | None = None
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    epoch: int = 0
    reason: str | None = None
    error: ErrorInfo | None = None
    serializer: str = "json"
    value: str | None = None
    ref: str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: the input of the recorded call."""

    name: str
    parameters: dict[str, Any]
    scheduled_for: datetime | None
    flow_run_name: str | None
    timeout: float | None
    tags: list[str]
    idempotency_key: str | None
    as_subflow: bool


def run_deployment(
    name: str,
    parameters: Mapping[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,
    poll_interval: float | None = None,  # noqa: ARG001
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool = True,
    job_variables: Mapping[str, Any] | None = None,
) -> Any:
    """Start a run of the flow `name` on whichever worker serves it, and wait for its end. Returns its FlowRun.

    name: of the flow, or "flow/deployment" as `flow.serve(name="deployment")` has made it: its parameters and tags are
    defaults for the run's. tags: and those of `with tags(…)` around the call. scheduled_time: when it is to start.
    timeout: seconds after which it is returned as it is then; 0 does not wait, None waits for ever.
    as_subflow=False: not a child of the calling run, so it is not cancelled with it.
    poll_interval: has no effect, nothing is polled.

    `.state.result()` is what the flow returned; it raises what it raised. In async code it is awaited. Raises NotFound,
    InvalidInput for wrong parameters and for one that holds a secret, ServiceUnavailable when there is no running system.
    """
    wanted = _wanted(
        name, parameters, scheduled_time, flow_run_name, timeout, tags, idempotency_key, as_subflow
    )
    _refuse(work_queue_name=work_queue_name, job_variables=job_variables)
    frame = of_run()
    if is_async_code(current.get()):
        return _run_async(frame, wanted)
    return _run_here(wanted) if frame is None else drive(_of(frame, wanted, is_async=False))


async def arun_deployment(
    name: str,
    parameters: Mapping[str, Any] | None = None,
    scheduled_time: datetime | None = None,
    flow_run_name: str | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  as its twin
    poll_interval: float | None = None,  # noqa: ARG001
    tags: Iterable[str] | None = None,
    idempotency_key: str | None = None,
    work_queue_name: str | None = None,
    as_subflow: bool = True,
    job_variables: Mapping[str, Any] | None = None,
) -> FlowRun:
    """`run_deployment` for async code."""
    wanted = _wanted(
        name, parameters, scheduled_time, flow_run_name, timeout, tags, idempotency_key, as_subflow
    )
    _refuse(work_queue_name=work_queue_name, job_variables=job_variables)
    return await _run_async(of_run(), wanted)


def _wanted(
    name: str,
    parameters: Mapping[str, Any] | None,
    scheduled_time: datetime | None,
    flow_run_name: str | None,
    timeout: float | None,
    tags: Iterable[str] | None,
    idempotency_key: str | None,
    as_subflow: bool,
) -> Wanted:
    if scheduled_time is not None and scheduled_time.tzinfo is None:
        raise InvalidInput(
            f"run_deployment(scheduled_time={scheduled_time!r}) needs a time zone: datetime(…, tzinfo=UTC), or "
            "datetime.now().astimezone() for the zone of this machine"
        )
    given = to_builtins(dict(parameters or {}))
    _refuse_secrets(str(name), given)
    return Wanted(
        name=str(name),
        parameters=given,
        scheduled_for=scheduled_time,
        flow_run_name=flow_run_name,
        timeout=timeout,
        tags=tagged(list(tags or ())),
        idempotency_key=idempotency_key,
        as_subflow=as_subflow,
    )


def _refuse_secrets(name: str, parameters: dict[str, Any]) -> None:
    """The parameters of a run are written down, and all that its worker gets: with stars it would work on stars."""
    for parameter, value in parameters.items():
        if secrecy.holds(encode(value)):
            raise InvalidInput(
                f"run_deployment({name!r}): parameter {parameter!r} holds a secret that this process has loaded, and the "
                "parameters of a run are kept and shown. Pass the secret's name, and load it where it is needed"
            )


def _refuse(**options: Any) -> None:
    for option, value in options.items():
        if value is not None:
            raise NotSupported(
                f"run_deployment({option}=…) is not supported: start the worker for the flow with the queue and "
                "environment that it needs (`perfect worker FILE --queue NAME`)"
            )


# -- outside of a run


def _run_here(wanted: Wanted) -> FlowRun:
    system = System.of_process()
    run_id = _run_id(_ask(system, _command(wanted, ids.uuid7())).result())
    life: RunLife | None = None
    if wanted.timeout is None or wanted.timeout > 0:
        following = system.until_final(run_id)
        try:
            life = following.result(wanted.timeout)
        except TimeoutError:
            following.cancel()
    life = life or system.life(run_id).result()
    assert life is not None
    ended = _ended(life)
    return _flow_run(ended, _value_now(ended) if ended.state == "COMPLETED" else None)


def _value_now(ended: Ended) -> Any:
    from perfect_sdk.recording.objects import get_object

    io = System.of_process()._io
    return results.decode_result(_stored(ended), Any, lambda stored: io.call(get_object, io.bus, stored.ref))


async def _run_async(frame: Frame | None, wanted: Wanted) -> FlowRun:
    if frame is None:
        import asyncio

        return await asyncio.to_thread(_run_here, wanted)
    return await drive_async(_of(frame, wanted, is_async=True))


# -- within a run


class DeploymentCall(Call):
    """The place in the parent, recorded like a task of the flow's name."""

    __slots__ = ()

    @property
    def returns(self) -> Any:
        return Ended


def _of(frame: Frame, wanted: Wanted, *, is_async: bool) -> Steps[FlowRun]:
    name = wanted.name.rpartition("/")[0] or wanted.name
    call = DeploymentCall(frame, wanted, Policy(name=name), lambda _: None, (wanted,), {})

    def body(_: Wanted) -> Ended:
        return drive(_child(call, current.get() or frame, wanted))

    async def body_async(_: Wanted) -> Ended:
        return await drive_async(_child(call, current.get() or frame, wanted))

    call.fn = body_async if is_async else body
    ended: Ended = yield from call.steps()
    if ended.state != "COMPLETED":
        return _flow_run(ended, None)
    stored, load = _stored(ended), frame.session.journal.load
    value = yield Blocking(lambda: results.decode_result(stored, Any, load))
    return _flow_run(ended, value)


def _child(call: Call, frame: Frame, wanted: Wanted) -> Steps[Ended]:
    session = frame.session
    journal, run = session.journal, session.run
    run_id = session.child_id(call.place.key)
    if session.epoch == 1 or (yield Future(session, journal.life(run_id))) is None:
        run_id = yield from _trigger(call, frame, wanted, run_id)
    known = session.waits.get(run_id)
    wake_at = known.wake_at if known is not None else None
    if wake_at is None and wanted.timeout is not None:
        wake_at = utc_now() + timedelta(seconds=wanted.timeout)
    life = yield from waits.until_final(frame, run_id, wake_at)
    if life is None:
        raise NotFound(f"run {run_id}, which run {run.run_id} started, is not there any more")
    return _ended(life)


def _trigger(call: Call, frame: Frame, wanted: Wanted, run_id: str) -> Steps[str]:
    session = frame.session
    command = _command(wanted, run_id)
    command = msgspec.structs.replace(command, configuration=session.run.configuration)
    if wanted.as_subflow:
        command = msgspec.structs.replace(
            command, parent_run_id=session.run.run_id, parent_task_key=call.place.key
        )
    return _run_id((yield Future(session, _ask(session.journal, command))))


# -- both


def _command(wanted: Wanted, run_id: str) -> TriggerRun:
    return TriggerRun(
        run_id=run_id,
        flow=wanted.name,
        parameters=wanted.parameters,
        tags=wanted.tags,
        idempotency_key=wanted.idempotency_key,
        scheduled_for=wanted.scheduled_for,
        name=wanted.flow_run_name,
    )


def _ask(system: Any, command: TriggerRun) -> Any:
    return system.ask(subjects.command("engine", "trigger"), command)


def _run_id(reply: "Reply") -> str:
    return _triggered(bytes(reply.value)).run_id


def _ended(life: RunLife) -> Ended:
    stored = life.result
    return Ended(
        id=life.id,
        flow_id=life.flow_id,
        state=life.state.value,
        name=life.name,
        parameters=life.parameters,
        tags=life.tags,
        epoch=life.epoch,
        reason=life.reason,
        error=life.error,
        serializer=stored.serializer if stored is not None else "json",
        value=bytes(stored.value).decode() if stored is not None and stored.ref is None else None,
        ref=stored.ref if stored is not None else None,
    )


def _stored(ended: Ended) -> StoredValue:
    return StoredValue(
        serializer=ended.serializer,  # type: ignore[arg-type]
        value=msgspec.Raw((ended.value or "null").encode()),
        ref=ended.ref,
    )


def _flow_run(ended: Ended, value: Any) -> FlowRun:
    kind = StateType(ended.state)
    data = value if kind is StateType.COMPLETED else failures.restore(ended.error) if ended.error else None
    message = ended.error.message if ended.error is not None else ended.reason
    return FlowRun(
        id=ended.id,
        name=ended.name,
        flow_id=ended.flow_id,
        parameters=ended.parameters,
        tags=ended.tags,
        run_count=ended.epoch,
        state=State(kind, message=message, data=data),
    )


__getattr__ = names_of(__name__)
