"""What is sent when something changes: the fragments of `ui/README.md`, rendered once for all who look."""

from collections.abc import Iterable
from typing import Any

import perfect_ui
from perfect_gateway import shapes
from perfect_gateway.facts import FlowFacts
from perfect_gateway.folded import active_of, run_of, task_of
from perfect_schemas.folds.artifact import ArtifactLife
from perfect_schemas.folds.history import History
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.shown import artifact_view
from perfect_schemas.views import FlowView, LogView, SummaryView

ROWS = 300  # task rows a message; a page keeps no more
LINES = 500  # about so many log lines a message


def run_dict(history: History, facts: FlowFacts) -> dict[str, Any] | None:
    view = run_of(history, facts)
    if view is None:
        return None
    run = shapes.run_shape(shapes.plain(view), result=True)
    run["active"] = shapes.plain(active_of(history, facts))
    return run


def task_dicts(tasks: Iterable[TaskLife], facts: FlowFacts) -> list[dict[str, Any]]:
    return [shapes.task_shape(shapes.plain(task_of(task, facts)), facts.usual) for task in tasks]


def run_header(run: dict[str, Any]) -> str:
    return perfect_ui.render("parts/run_header.html", run=run, actions=shapes.actions(run))


def task_rows(tasks: list[dict[str, Any]]) -> str:
    return "".join(perfect_ui.render("parts/task_row.html", task=task) for task in tasks)


def run_timeline(run: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    return perfect_ui.render("parts/run_timeline.html", run=run, tasks=tasks)


def artifacts(lives: Iterable[ArtifactLife]) -> str:
    """In the order in which they were made. A change of one that is not known is not drawn."""
    known = sorted((life for life in lives if life.kind is not None), key=lambda life: life.first_seq)
    return "".join(
        perfect_ui.render("parts/artifact.html", artifact=shapes.artifact_shape(artifact_view(life)))
        for life in known
    )


def run_row(run: dict[str, Any]) -> str:
    return perfect_ui.render("parts/run_row.html", run=run)


def run_card(run: dict[str, Any]) -> str:
    return perfect_ui.render("parts/run_card.html", run=run)


def flow_card(flow: FlowView) -> str:
    return perfect_ui.render("parts/flow_card.html", flow=shapes.flow_shape(flow))


def flow_statistics(flow: FlowView) -> str:
    return perfect_ui.render("parts/flow_statistics.html", flow=shapes.flow_shape(flow))


def summary(view: SummaryView) -> str:
    shown = shapes.plain(view)
    return "".join(
        perfect_ui.render(part, summary=shown) for part in ("parts/summary.html", "parts/throughput.html")
    )


def log_lines(lines: list[LogView], *, sought: str = "", skipped: int = 0) -> str:
    """sought: is marked in them. skipped: how many before them are not sent."""
    shown = [shapes.log_shape(line) for line in lines]
    return perfect_ui.render("parts/log_lines.html", logs=shown, sought=sought, skipped=skipped)
