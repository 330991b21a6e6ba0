"""Executions over HTTP: listen for the runs of some flows, report how each ended."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post

from perfect_gateway.api.events import EVENT_STREAM, require_bus, streamed
from perfect_gateway.listeners.listener import Wanted
from perfect_gateway.listeners.report import Report
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, body, json, query, run_id
from perfect_schemas import ids, queries
from perfect_schemas.envelope import ErrorInfo
from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.views import FlowView

MOST_SLOTS = 1000


class ListenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """flows: ids or names. name: shown with the runs. slots: how many runs at once.

    client_id: of an earlier connection of the same listener, when that broke while it executed runs. holding: those runs,
    each as `<run id>:<epoch>`.
    """

    flows: list[str] = []
    name: str = "listener"
    slots: Annotated[int, msgspec.Meta(ge=1, le=MOST_SLOTS)] = 1
    client_id: str | None = None
    holding: list[str] = []


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """kind: of the exception, `module:qualified.name`."""

    message: str
    kind: str = "Error"
    traceback: str = ""


class ReportBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """client_id, epoch: as they came with the execution (or in `resumed` of a later `hello`). result: of COMPLETED;
    error: of FAILED, a text or an object.
    """

    state: Literal["COMPLETED", "FAILED"]
    client_id: str
    epoch: int
    result: Any = None
    error: str | ErrorBody | None = None


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """state: how the run ended; CANCELLED when that had been asked for before the report."""

    run_id: str
    state: str


def holding_of(texts: list[str]) -> dict[str, int]:
    """Raises InvalidInput."""
    found: dict[str, int] = {}
    for text in texts:
        run, _, epoch = text.partition(":")
        if not ids.is_id(run) or not (epoch.isascii() and epoch.isdecimal()):
            message = f"{text!r} is not <run id>:<epoch>"
            raise InvalidInput(f"holding: {message}", [FieldError("holding", message)])
        found[run] = int(epoch)
    return found


def report_of(run: str, wanted: ReportBody) -> Report:
    """Without the result."""
    error = None
    if wanted.state == "FAILED":
        given = wanted.error or "the listener gave no reason"
        said = ErrorBody(message=given) if isinstance(given, str) else given
        error = ErrorInfo(kind=said.kind, message=said.message, traceback=said.traceback)
    return Report(run_id=run, client_id=wanted.client_id, epoch=wanted.epoch, error=error)


async def known_flows(parts: Parts, wanted: list[str]) -> list[str]:
    """Their ids. One registered a moment ago is waited for. Raises NotFound, InvalidInput."""
    if not wanted:
        message = "is required: the ids or names of the flows to execute, separated by commas"
        raise InvalidInput(f"flows {message}", [FieldError("flows", message)])
    found: list[str] = []
    for flow in dict.fromkeys(wanted):
        view = await parts.asker.value_when("flow", queries.FlowDetail(flow=flow), FlowView, lambda *_: True)
        found.append(view.id)
    return found


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/client/executions",
        media_type=EVENT_STREAM,
        opt={"query": ListenQuery, "answers": {200: str}, "problems": (404,)},
    )
    async def executions(request: AnyRequest) -> Response[Any]:
        """Execute runs: server-sent events, each with a JSON object.

        `hello` {client_id, name, slots, flows, resumed: [{run_id, epoch}], revoked: [run_id]} comes first; `execution`
        {run_id, flow_id, flow_name, configuration, parameters, tags, client_id, epoch} asks for one, to be answered by
        `POST /api/engine/runs/{run_id}/state`; `cancel` {run_id, epoch} wants it ended; `revoked` {run_id, epoch} says
        that it is not this listener's any more; `ping` after 15 s of silence. As long as the connection is open its
        runs are this listener's. It has one lease (5 s) to come back and go on with those it names in `holding`.
        """
        wanted = query(request, ListenQuery)
        holding = holding_of(wanted.holding)
        require_bus(parts)
        listening = Wanted(
            flows=await known_flows(parts, wanted.flows),
            name=wanted.name[:200],
            slots=wanted.slots,
            client_id=wanted.client_id,
            holding=holding,
        )
        frames = parts.listeners.listen(listening)
        return streamed(request, frames)

    @post(
        "/api/engine/runs/{run_id:str}/state",
        status_code=200,
        opt={"body": ReportBody, "answers": {200: Reported}, "problems": (409,)},
    )
    async def report(request: AnyRequest) -> Response[bytes]:
        """How an execution ended. Saying it again changes nothing. 409 when the run is not the listener's any more."""
        wanted_id = run_id(request)
        wanted = await body(request, ReportBody)
        result = msgspec.json.encode(wanted.result) if wanted.state == "COMPLETED" else None
        state = await parts.listeners.report(report_of(wanted_id, wanted), result)
        return json(Reported(run_id=wanted_id, state=state))

    return [executions, report]
