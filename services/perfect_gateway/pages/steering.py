"""The forms of a run's page that stop it for a while and set it going again: pause, resume, retry, fork."""

from typing import Any

import msgspec
from litestar import Response, post

import perfect_ui
from perfect_gateway.api.steering import fork_run, pause_run, resume_run, retry_run
from perfect_gateway.pages.page import form, html, see
from perfect_gateway.pages.runs import run_context
from perfect_gateway.parts import Parts
from perfect_gateway.runs import folded_run, no_run
from perfect_gateway.wire import AnyRequest, run_id
from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.folds.run import RunLife, open_waits


async def submitted(request: AnyRequest) -> dict[str, str]:
    """The last value of each field; a button alone submits nothing."""
    if not request.headers.get("content-type"):
        return {}
    return {name: values[-1].strip() for name, values in (await form(request)).items()}


def edited_parameters(text: str) -> dict[str, Any] | None:
    """Raises InvalidInput for what is no JSON object."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        message = f"must be a JSON object ({error})"
        raise InvalidInput(f"parameters: {message}", [FieldError("parameters", message)]) from error


def input_problems(error: InvalidInput) -> list[dict[str, str]]:
    """`input.ok` is the field `ok` of the form; `input` alone is the only field of one that asks for one value."""
    problems = []
    for one in error.errors:
        _, _, field = one.field.partition(".")
        problems.append({"field": field or one.field, "message": one.message})
    return problems or [{"field": "", "message": error.detail}]


def asked_schema(run: RunLife, key: str | None) -> dict[str, Any] | None:
    """Of the input that the form is about: of the pause with that key, or of the only one."""
    waits = (wait for wait in open_waits(run) if wait.waits_for == "input" and key in (None, wait.key))
    return next((wait.input_schema for wait in waits), None)


def routes(parts: Parts) -> list[Any]:
    @post("/runs/{run_id:str}/pause", status_code=303)
    async def pause(request: AnyRequest) -> Response[bytes]:
        wanted = run_id(request)
        await pause_run(parts, wanted)
        return see(request, f"/runs/{wanted}")

    @post("/runs/{run_id:str}/resume", status_code=303)
    async def resume(request: AnyRequest) -> Response[bytes]:
        wanted, fields = run_id(request), await submitted(request)
        history, _ = await folded_run(parts, wanted)
        if history.run is None:
            raise no_run(wanted)
        key = fields.get("key") or None
        asked = asked_schema(history.run, key)
        given: Any = None
        problems: list[dict[str, str]] = []
        if asked is not None:
            schema = perfect_ui.input_form(asked)
            values, problems = perfect_ui.form_parameters(schema, fields)
            given = values if schema is asked else values.get("input")
        if not problems:
            try:
                await resume_run(parts, wanted, given, key)
                return see(request, f"/runs/{wanted}")
            except InvalidInput as error:
                problems = input_problems(error)
        context = await run_context(parts, wanted)
        return html("pages/run.html", status=422, **context, values=fields, problems=problems)

    @post("/runs/{run_id:str}/retry", status_code=303)
    async def retry(request: AnyRequest) -> Response[bytes]:
        wanted, fields = run_id(request), await submitted(request)
        await retry_run(parts, wanted, fields.get("from_key") or None)
        return see(request, f"/runs/{wanted}")

    @post("/runs/{run_id:str}/fork", status_code=303)
    async def fork(request: AnyRequest) -> Response[bytes]:
        wanted, fields = run_id(request), await submitted(request)
        parameters = edited_parameters(fields.get("parameters", ""))
        triggered = await fork_run(parts, wanted, fields.get("from_key") or None, parameters)
        return see(request, f"/runs/{triggered.run_id}")

    return [pause, resume, retry, fork]
