"""Who executes runs, as the pages show it: the clients that are there, what they run, and the launchers' processes."""

import asyncio
from typing import Any

import perfect_ui
from perfect_bus import launchers, presence
from perfect_gateway import hosts, shapes
from perfect_gateway.ask import Asker
from perfect_schemas import queries
from perfect_schemas.commands import WorkflowFiles
from perfect_schemas.errors import ServiceUnavailable
from perfect_schemas.views import ClientView, FlowView

LOG_LINES = 200  # of a process, on the page; the API has more
MOST_RUNS = 1000
MOST_GONE = 10
WITHIN_S = 2.0  # the read model gets to reach what was heard
HELD = ["RUNNING", "CANCELLING"]


async def files(asker: Asker) -> list[WorkflowFiles]:
    """What may be started, on each host whose launcher answers."""

    async def of(host: str) -> WorkflowFiles | None:
        try:
            return await hosts.files(asker, host)
        except ServiceUnavailable:
            return None

    known = await launchers.seen(asker.bus)
    found = await asyncio.gather(*(of(one.host) for one in known if one.presence is not None))
    return [one for one in found if one is not None]


async def processes(asker: Asker) -> list[dict[str, Any]]:
    """The hosts by name, each with its processes; those that are away only if something should run there."""
    found = await hosts.processes(asker, log_lines=LOG_LINES)
    return [shapes.plain(one) for one in found if one.here or one.processes]


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
    return {"hosts": known, "workers": found}


async def drawn(asker: Asker, seq: int) -> str:
    found = await context(asker, seq)
    return perfect_ui.render("parts/processes.html", **found) + perfect_ui.render(
        "parts/workers.html", **found
    )


def _name(flow: dict[str, str]) -> str:
    return flow["name"].lower()
