"""Every page there is, with something on it."""

from typing import Protocol

from running import FLOWS, Running
from site_client import Site

from perfect_schemas import ids
from perfect_ui.menu import MENU

NIGHTLY = {
    "name": "nightly",
    "kind": "cron",
    "cron": "30 2 * * *",
    "timezone": "Europe/Rome",
    "parameters": {"name": "you"},
}


class Gates(Protocol):
    folder: str

    async def open(self, n: int, text: str = ...) -> None: ...


async def every_page(system: Running, gates: Gates) -> dict[str, str]:
    """Name → path, those of the menu among them. Three kinds of runs have ended, one is under way and stays so."""
    await system.worker(FLOWS / "busy.py", name="a worker with a rather long name")
    async with Site.of(system.system.url) as site:
        squares = [await site.trigger("Squares", count=30) for _ in range(4)]
        many = await site.trigger("Squares", count=300)
        talkative = await site.trigger("Talkative", lines=200)
        failed = await site.trigger("Division", dividend=3)
        under_way = await site.trigger("Gated steps", folder=gates.folder, count=3)
        await gates.open(0, "\x1b[32mgo\x1b[0m, with <b>colour</b>")
        for run in (*squares, many, talkative, failed):
            await site.finished(run["id"])
        waiting = await site.post("/api/engine/register", {"name": "Paper"}, status=201)
        await site.trigger("Paper")
        greeting = await site.get("/api/engine/flows/Greeting")
        await site.http.put("/api/engine/limits/database", json={"slots": 4})
        made = await site.post("/api/schedules", {"flow": "Greeting", "spec": NIGHTLY}, status=201)
        for n in range(3):
            others = {**NIGHTLY, "name": f"another-of-the-nightly-ones-{n}"}
            await site.post("/api/schedules", {"flow": "Greeting", "spec": others}, status=201)
    flow, ended = squares[0]["flow_id"], squares[-1]["id"]
    return {
        "runs-none": "/runs?text=nothing+is+called+so",
        **{entry.key: entry.href for entry in MENU},
        "run-running": f"/runs/{under_way['id']}",
        "run-completed": f"/runs/{ended}",
        "run-many-tasks": f"/runs/{many['id']}",
        "run-timeline": f"/runs/{ended}?tab=timeline",
        "run-graph": f"/runs/{ended}?tab=graph",
        "run-tasks": f"/runs/{ended}?tab=tasks",
        "run-events": f"/runs/{ended}?tab=events",
        "run-talkative": f"/runs/{talkative['id']}",
        "run-logs": f"/runs/{talkative['id']}?tab=logs",
        "run-logs-searched": f"/runs/{under_way['id']}?tab=logs&q=go",
        "run-failed": f"/runs/{failed['id']}",
        "run-diff": f"/runs/{squares[0]['id']}/diff/{ended}",
        "flow": f"/flows/{flow}",
        "flow-form": f"/flows/{greeting['id']}",
        "flow-waiting": f"/flows/{waiting['id']}",
        "task-statistics": f"/statistics/tasks/{ids.task_id(flow, 'square')}",
        "schedule": f"/schedules/{made['id']}",
        "schedule-new": f"/schedules/new?flow={greeting['id']}",
        "schedule-edit": f"/schedules/{made['id']}/edit",
        "api-docs": "/api/docs",
        "not-found": "/runs/nothing",
    }
