"""The report of a run: everything about it in one HTML file that needs no network."""

import asyncio
import re
from datetime import datetime
from typing import Any

import perfect_ui
from perfect_gateway import shapes
from perfect_gateway.gather import MOST_TASKS, history, lines, record
from perfect_gateway.parts import Parts
from perfect_gateway.reasons import explain
from perfect_gateway.record import Lines, RunRecord
from perfect_schemas.views import RunView, StatisticView

_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


async def report(parts: Parts, wanted: str) -> tuple[str, RunView]:
    """The file, and the run that it is about. Raises NotFound."""
    known = await record(parts, wanted)
    (usual, of_tasks), log = await asyncio.gather(history(parts, known.run.flow_id), lines(parts, wanted))
    now = parts.clock()
    run = shapes.run_shape(await explain(parts.bus, shapes.plain(known.run)), result=True)
    text = await asyncio.to_thread(written, known, run, usual, of_tasks, log, now, parts.version)
    return text, known.run


def written(
    known: RunRecord,
    run: dict[str, Any],
    usual: StatisticView | None,
    of_tasks: dict[str, StatisticView],
    log: Lines,
    now: datetime,
    version: str,
) -> str:
    """Pure; takes a tenth of a second for ten thousand tasks, so not on the loop that serves everybody."""
    return perfect_ui.report(
        now=shapes.plain(now),
        run=run,
        tasks=[shapes.task_shape(task) for task in shapes.plain(known.tasks)],
        tasks_cut=len(known.tasks) >= MOST_TASKS,
        phases=[{**shapes.plain(phase), "duration_ms": phase.duration_ms(now)} for phase in known.phases],
        clients=clients(known),
        history=shapes.plain(usual),
        task_history=shapes.plain(of_tasks),
        logs_first=[shapes.log_shape(line) for line in log.first],
        logs_left_out=log.left_out,
        logs_last=[shapes.log_shape(line) for line in log.last],
        version=version,
    )


def clients(known: RunRecord) -> list[dict[str, Any]]:
    """Who ran it, in their order, each with the epochs that it had."""
    epochs: dict[str, list[int]] = {}
    for phase in known.phases:
        if phase.client_id:
            epochs.setdefault(phase.client_id, []).append(phase.epoch or len(epochs) + 1)
    found = []
    for client_id, had in epochs.items():
        hello = known.clients.get(client_id)
        found.append(
            {
                "id": client_id,
                "epochs": had,
                "name": hello.name if hello else None,
                "host": hello.host if hello else None,
                "pid": hello.pid if hello else None,
                "sdk_version": hello.sdk_version if hello else "",
                "python_version": hello.python_version if hello else "",
            }
        )
    return found


def file_name(run: RunView) -> str:
    flow = _UNSAFE.sub("-", run.flow_name).strip("-").lower() or "flow"
    return f"report-{flow[:60]}-{run.id[-8:]}.html"
