"""The Jinja environment and what templates may call."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from perfect_ui import formats, strip
from perfect_ui.ansi import ansi
from perfect_ui.artifact import markdown, safe_image, safe_link, table
from perfect_ui.assets import asset_url, asset_version
from perfect_ui.chart import chart
from perfect_ui.digest import differing
from perfect_ui.formats import tone
from perfect_ui.forms import fields, input_form
from perfect_ui.histogram import histogram
from perfect_ui.menu import MENU
from perfect_ui.outlook import outlook
from perfect_ui.result import cells, is_number
from perfect_ui.run_graph import run_graph
from perfect_ui.spread import spread
from perfect_ui.throughput import throughput
from perfect_ui.timeline import timeline
from perfect_ui.trend import trend
from perfect_ui.weights import weights

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONAL: dict[str, Any] = {
    "seq": None,
    "csrf_token": None,
    "version": None,
    "actions": (),
    "values": None,
    "configuration": "development",
    "run_tags": "",
    "problems": (),
    "only_flows": False,
    "flow_name": None,
    "artifacts": (),
    "cards": (),
    "schedules": (),
    "late": (),
    "made_by": None,
    "tab": "overview",
    "is_large": False,
    "groups": None,
    "drawn": None,
    "moment": None,
    "first": True,
    "following": None,
    "task": "",
    "sought": "",
    "skipped": 0,
    "log_topic": "",
    "known": 0,
    "told": "",
    "failed": (),
    "services": (),
    "refused": None,
}
_ROWS = frozenset(
    {
        "parts/run_row.html",
        "parts/task_row.html",
        "parts/schedule_row.html",
        "parts/schedule_row_gone.html",
        "parts/schedule_decision.html",
    }
)


def render(template: str, **context: Any) -> str:
    """Render `pages/<name>.html` or `parts/<name>.html`; the contexts are listed in `ui/README.md`.

    Raises `jinja2.UndefinedError` when a variable is missing and `jinja2.TemplateNotFound` for an unknown template.
    """
    context.setdefault("now", datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    html = _environment().get_template(template).render({**_OPTIONAL, **context})
    # A parser drops a `<tr>` that follows anything but a row, so a row travels in an envelope of its own.
    return f"<template>{html}</template>" if template in _ROWS else html


def compiled() -> Iterator[str]:
    """Compiles all templates, one a step, so that nobody's first page waits for it (half a second in all)."""
    environment = _environment()
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)
        yield name


def task_window(tasks: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """At most `limit` task runs in their order: what is unfinished or failed first of all, then the newest."""
    return [tasks[place] for place in window(tasks, limit)]


def window(tasks: list[dict[str, Any]], limit: int) -> list[int]:
    """The places of those in `task_window`."""
    if len(tasks) <= limit:
        return list(range(len(tasks)))
    notable = [place for place, task in enumerate(tasks) if tone(task["state"]) not in {"good", "mute"}][
        -limit:
    ]
    kept = set(notable)
    for place in range(len(tasks) - 1, -1, -1):
        if len(kept) >= limit:
            break
        kept.add(place)
    return sorted(kept)


def schedule_text(schedule: Any) -> str:
    """A schedule as one line: its cron, interval or rule, whatever it has."""
    if not isinstance(schedule, dict):
        return str(schedule)
    for key in ("description", "cron", "rrule"):
        if schedule.get(key):
            return str(schedule[key])
    for key in ("interval_ms", "interval"):
        if schedule.get(key):
            return (
                f"every {formats.duration(schedule[key])}"
                if key == "interval_ms"
                else f"every {schedule[key]}"
            )
    return formats.compact_json(schedule)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("perfect_ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )
    environment.filters |= {
        "ansi": ansi,
        "markdown": markdown,
        "safe_image": safe_image,
        "safe_link": safe_link,
        "duration": formats.duration,
        "percent": formats.percent,
        "time": formats.time_tag,
        "local_time": formats.local_time,
        "tone": tone,
        "short_id": formats.short_id,
        "task_number": formats.task_number,
        "log_source": formats.log_source,
        "number": formats.number,
        "shorter": formats.shorter,
        "size": formats.size,
        "signed": formats.signed,
        "compact_json": formats.compact_json,
        "indented_json": formats.indented_json,
        "task_pairs": differing,
        "task_window": task_window,
    }
    environment.tests["final"] = formats.is_final
    environment.globals |= {
        "artifact_table": table,
        "asset_url": asset_url,
        "asset_version": asset_version,
        "strip": strip.svg,
        "cells": cells,
        "chart": chart,
        "elapsed_ms": formats.milliseconds_between,
        "fields": fields,
        "input_form": input_form,
        "is_number": is_number,
        "menu": MENU,
        "schedule_text": schedule_text,
        "outlook": outlook,
        "run_graph": run_graph,
        "spread": spread,
        "throughput": throughput,
        "timeline": timeline,
        "trend": trend,
        "histogram": histogram,
        "weights": weights,
    }
    return environment
