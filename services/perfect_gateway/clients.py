"""Who executes runs, as the pages show it: the clients that are there, what they run, and the launcher's processes."""

import asyncio
from typing import Any

import perfect_ui
from perfect_bus import presence
from perfect_gateway import shapes
from perfect_gateway.ask import Asker
from perfect_schemas import commands, queries
from perfect_schemas.commands import ProcessStatus, WorkflowFiles
from perfect_schemas.errors import ServiceUnavailable
from perfect_schemas.views import ClientView, FlowView

LOG_LINES = 200  # of a process, on the page; the API has more
MOST_RUNS = 1000
MOST_GONE = 10
WITHIN_S = 2.0  # the read model gets to reach what was heard
HELD = ["RUNNING", "CANCELLING"]


async def files(asker: Asker) -> WorkflowFiles | None:
    """What may be started; None while the launcher does not answer."""
    try:
        return await asker.command("launcher", "files", commands.ShowWorkflows(), WorkflowFiles)
    except ServiceUnavailable:
        return None


async def processes(asker: Asker) -> list[dict[str, Any]] | None:
    """The launcher's, by file; None while it does not answer."""
    command = commands.ShowProcesses(log_lines=LOG_LINES)
    try:
        return [
            shapes.plain(one)
            for one in await asker.command("launcher", "status", command, list[ProcessStatus])
        ]
    except ServiceUnavailable:
        return None


async def workers(asker: Asker, seq: int = 0) -> dict[str, Any]:
    """`there`: by name, each with the flows that it serves, the runs that it holds and its room. `gone`: the last few that
    left or were lost. seq: of EVENTS, which the runs are to be as of. Runs are known by their client's name, so two clients of one name show the same ones.
    """
    present, (clients, _), (flows, _), held = await asyncio.gather(
        presence.present(asker.bus),
        asker.value("clients", queries.ClientList(), list[ClientView]),
        asker.value("flows", queries.FlowList(), list[FlowView]),
        asker.value_when(
            "runs",
            queries.RunPage(state=HELD, limit=MOST_RUNS),
            queries.Runs,
            lambda _, as_of: as_of >= seq,
            within_s=WITHIN_S,
        ),
    )
    names = {flow.id: flow.name for flow in flows}
    since = {client.id: client.connected_at for client in clients}
    runs: dict[str | None, list[dict[str, Any]]] = {}
    for run in held.runs:
        runs.setdefault(run.client_name, []).append(
            {"id": run.id, "flow_name": run.flow_name, "state": run.state}
        )
    there = [
        {
            **shapes.plain(one),
            "queues": one.queues,
            "draining": one.draining,
            "connected_at": shapes.plain(since.get(one.client_id)),
            "serves": sorted(({"id": id_, "name": names.get(id_, id_[-8:])} for id_ in one.flows), key=_name),
            "runs": runs.get(one.name, []),
            "free": max(one.slots - len(runs.get(one.name, [])), 0),
        }
        for one in sorted(present, key=lambda one: (one.name, one.client_id))
    ]
    here = {one.client_id for one in present}
    gone = [shapes.plain(one) for one in clients if one.id not in here and one.state != "connected"]
    gone.sort(key=lambda one: one["last_seen"] or one["connected_at"], reverse=True)
    return {"there": there, "gone": gone[:MOST_GONE]}


async def context(asker: Asker, seq: int = 0) -> dict[str, Any]:
    """What moves on `/clients`."""
    known, found = await asyncio.gather(processes(asker), workers(asker, seq))
    return {"processes": known, "workers": found}


async def drawn(asker: Asker, seq: int) -> str:
    found = await context(asker, seq)
    return perfect_ui.render("parts/processes.html", **found) + perfect_ui.render(
        "parts/workers.html", **found
    )


def _name(flow: dict[str, str]) -> str:
    return flow["name"].lower()
