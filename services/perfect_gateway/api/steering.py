"""What stops a run for a while and sets it going again: pause, resume, retry, fork."""

from typing import Any

import msgspec
from litestar import Response, post

from perfect_gateway.parts import Parts
from perfect_gateway.runs import folded_run, no_run
from perfect_gateway.wire import AnyRequest, body, json, run_id
from perfect_schemas import commands, ids
from perfect_schemas.views import RunView

BY = "api"


class ResumeBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """input: of the shape that the run waits for (`input_schema` of the run). key: of the pause that is meant, when the
    run waits for several inputs at once (`waits` of the run).
    """

    input: Any = None
    key: str | None = None


class RetryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """from_key: this task and all that began after it run again too, not only what failed."""

    from_key: str | None = None


class ForkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """from_key: the first task to run again; without it, every completed task is taken over.
    parameters: replace the origin's by name.
    """

    from_key: str | None = None
    parameters: dict[str, Any] | None = None


async def pause_run(parts: Parts, run: str) -> None:
    await parts.asker.command("engine", "pause", commands.PauseRun(run_id=run, by=BY), commands.Done)


async def resume_run(parts: Parts, run: str, given: Any, key: str | None = None) -> None:
    command = commands.ResumeRun(run_id=run, by=BY, input=given, event_id=ids.uuid7(), key=key)
    await parts.asker.command("engine", "resume", command, commands.Done)


async def retry_run(parts: Parts, run: str, from_key: str | None) -> None:
    command = commands.RetryRun(run_id=run, by=BY, from_key=from_key, event_id=ids.uuid7())
    await parts.asker.command("engine", "retry", command, commands.Done)


async def fork_run(
    parts: Parts, run: str, from_key: str | None, parameters: dict[str, Any] | None
) -> commands.Triggered:
    """The new run, whose id is made here: repeating the command until it is answered makes one."""
    command = commands.ForkRun(
        run_id=ids.uuid7(), origin_run_id=run, by=BY, from_key=from_key, parameters=parameters
    )
    return await parts.asker.command("engine", "fork", command, commands.Triggered)


async def view_of(parts: Parts, run: str) -> RunView:
    """As the stream has it now: the read model may be a moment behind."""
    _, view = await folded_run(parts, run)
    if view is None:
        raise no_run(run)
    return view


def routes(parts: Parts) -> list[Any]:
    @post(
        "/api/engine/runs/{run_id:str}/pause",
        status_code=202,
        opt={"answers": {202: RunView}, "problems": (409,)},
    )
    async def pause(request: AnyRequest) -> Response[bytes]:
        """Pause a RUNNING run: it stops at its next call of a task, a child flow or a wait, holds no slot, and goes on
        when it is resumed. Tasks under way are finished first. 409 for any other.
        """
        wanted_id = run_id(request)
        await pause_run(parts, wanted_id)
        return json(await view_of(parts, wanted_id), status=202)

    @post(
        "/api/engine/runs/{run_id:str}/resume",
        status_code=202,
        opt={"body": ResumeBody, "optional": True, "answers": {202: RunView}, "problems": (409,)},
    )
    async def resume(request: AnyRequest) -> Response[bytes]:
        """End a pause that waits for input. 409 when the run waits for none (or for several, and no key says which), 422
        when the input does not fit.
        """
        wanted = await body(request, ResumeBody, optional=True)
        wanted_id = run_id(request)
        await resume_run(parts, wanted_id, wanted.input, wanted.key)
        return json(await view_of(parts, wanted_id), status=202)

    @post(
        "/api/engine/runs/{run_id:str}/retry",
        status_code=202,
        opt={"body": RetryBody, "optional": True, "answers": {202: RunView}, "problems": (409,)},
    )
    async def retry(request: AnyRequest) -> Response[bytes]:
        """Try a FAILED, CRASHED or CANCELLED run again: what completed is not done again. 409 for any other."""
        wanted = await body(request, RetryBody, optional=True)
        wanted_id = run_id(request)
        await retry_run(parts, wanted_id, wanted.from_key)
        return json(await view_of(parts, wanted_id), status=202)

    @post(
        "/api/engine/runs/{run_id:str}/fork",
        status_code=202,
        opt={
            "body": ForkBody,
            "optional": True,
            "answers": {202: RunView},
            "problems": (409,),
            "location": True,
        },
    )
    async def fork(request: AnyRequest) -> Response[bytes]:
        """A new run that takes over the results of this one up to a task, with other parameters if you like."""
        wanted = await body(request, ForkBody, optional=True)
        triggered = await fork_run(parts, run_id(request), wanted.from_key, wanted.parameters)
        return json(
            await view_of(parts, triggered.run_id),
            status=202,
            headers={"location": f"/api/engine/runs/{triggered.run_id}"},
        )

    return [pause, resume, retry, fork]
