"""Every page and fragment renders, escapes what users wrote, and obeys a strict content security policy."""

import re
from html.parser import HTMLParser

import jinja2
import pytest

import perfect_ui

EVIL = "<script>alert('x')</script>\"'&"
NOW = "2026-01-01T00:00:10.000Z"
STATES = [
    "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED", "NEWER",
]  # fmt: skip


def flow(**changes):
    return {
        "id": "f1", "name": EVIL, "description": EVIL, "tags": [EVIL], "version": "abc", "parameters": {
            "type": "object", "required": ["a"], "properties": {"a": {"type": "string", "description": EVIL}},
        },
        "tasks": [{"id": "t", "name": EVIL, "weight": 5, "estimated_time": None}], "schedules": [{"cron": "* * * * *"}],
        "statistics": {"avg_duration_ms": 10.5, "std_dev_ms": None, "sample_count": 1},
        "recent": [{"id": "r1", "state": "FAILED", "start_time": NOW, "duration_ms": None}], "hidden": False,
    } | changes  # fmt: skip


def run(state="RUNNING", **changes):
    return {
        "id": "r1", "flow_id": "f1", "flow_name": EVIL, "flow_version": None, "state": state, "progress": 42.5,
        "created_at": NOW, "start_time": NOW, "end_time": None, "duration_ms": None, "queued_ms": None,
        "configuration": "debug", "parameters": {EVIL: EVIL}, "tags": [EVIL], "client_name": EVIL, "attempt": 2,
        "error": {"type": EVIL, "message": EVIL, "traceback": EVIL}, "waiting_for": EVIL,
        "performance_warning": {"type": "slow", "severity": "critical", "message": EVIL}, "tasks_done": 1,
        "tasks_total": 2, "expected_ms": 1000, "result_text": EVIL, "active": [{"share": 0.5, "start_time": NOW, "expected_ms": 10, "progress": 0}],
    } | changes  # fmt: skip


def bare_run():
    nothing = dict.fromkeys(run(), None)
    kept = {
        "id": "r2",
        "flow_id": "f1",
        "flow_name": "F",
        "state": "SCHEDULED",
        "progress": 0,
        "parameters": {},
        "tags": [],
    }
    return nothing | kept | {"configuration": "release"}


def task(state="RUNNING", **changes):
    return {
        "id": "t1", "run_id": "r1", "task_id": "k", "task_key": EVIL, "name": EVIL, "state": state, "progress": 0,
        "start_time": NOW, "end_time": None, "duration_ms": None, "attempt": 1, "expected_ms": None, "weight": 1,
        "performance_warning": {"type": "slow", "severity": "warning", "message": EVIL},
        "error": {"type": EVIL, "message": EVIL, "traceback": None},
    } | changes  # fmt: skip


def log(seq=1, **changes):
    return {
        "seq": seq, "at": NOW, "level": "INFO", "logger": EVIL, "message": f"\x1b[31m{EVIL}", "task_run_id": None, "task_key": None,
    } | changes  # fmt: skip


STATISTICS = {
    "id": "s", "flow_name": EVIL, "task_name": EVIL, "avg_duration_ms": 4.2, "m2": 0.0, "std_dev_ms": None, "sample_count": 1,
    "last_updated": NOW, "p50_ms": 4.0, "p95_ms": 5.0, "p99_ms": 5.0, "queued": None, "launch": None, "forecast": None,
}  # fmt: skip
DISTRIBUTION = {
    "sample_count": 1,
    "avg_ms": 4.0,
    "min_ms": 4.0,
    "max_ms": 4.0,
    "p50_ms": 4.0,
    "p95_ms": 4.0,
    "p99_ms": 4.0,
}
FORECAST = {
    "runs": 9,
    "median_error_percent": 8.2,
    "within_p90_percent": 90.0,
    "half_median_error_percent": None,
}
FLOW_STATISTICS = STATISTICS | {"queued": DISTRIBUTION, "launch": None, "forecast": FORECAST}
DAYS = [{"day": f"2026-01-0{n}", "p50_ms": 4.0 + n, "p95_ms": 9.0} for n in (1, 2, 4)]
SUMMARY = {
    "running": 1,
    "waiting": 0,
    "completed_24h": 1000,
    "failed_24h": 0,
    "clients": 0,
    "hours": [[0, 0]] * 23 + [[990, 10]],
}
FILTERS = {
    "flow": "f1",
    "state": "",
    "tag": EVIL,
    "configuration": "",
    "worker": EVIL,
    "text": EVIL,
    "since": "",
    "until": "",
    "sort": "",
}
NO_FILTERS = dict.fromkeys(FILTERS, "")
LIVE = {"seq": "12.3", "csrf_token": EVIL, "version": "1", "now": NOW}
PROBLEMS = [
    {"field": "a", "message": EVIL},
    {"field": "", "message": EVIL},
    {"field": "tags", "message": EVIL},
]

SQL = {
    "tables": [{"name": "v_runs", "kind": "view", "comment": EVIL, "columns": [{"name": EVIL, "type": "VARCHAR", "comment": EVIL}]}],
    "no_tables": "", "saved": [{"name": EVIL, "text": EVIL, "saved_at": NOW, "by": ""}], "examples": [{"name": "e", "text": EVIL}],
}  # fmt: skip
RESULT = {
    "columns": [EVIL, "n", "at"], "types": ["VARCHAR", "BIGINT", "TIMESTAMP"], "rows": [[EVIL, 1, NOW], [None, 2, "2026-01-02T00:00:00Z"]],
    "row_count": 2, "truncated": True, "elapsed_ms": 1.5, "snapshot_at": NOW,
}  # fmt: skip

SCHEDULE = {
    "id": "s1", "flow_id": "f1", "flow_name": EVIL, "name": EVIL, "text": EVIL, "words": EVIL, "state": "paused", "paused": True,
    "paused_by": EVIL, "made_by": "code", "next_at": NOW, "next_due_at": NOW, "deferred": [NOW], "fired": 1, "skipped": 2,
    "last_decision": None, "spec": {
        "timezone": EVIL, "catchup": "last", "overlap": "skip", "jitter_ms": 5, "max_lateness_ms": 5, "configuration": "debug",
        "deployment": EVIL, "tags": [EVIL], "parameters": {EVIL: EVIL},
    },
}  # fmt: skip
SKIPPED = {
    "id": "d1", "decision": "skipped", "at_instant": NOW, "through": NOW, "count": 3, "late_ms": 5, "reason": "rejected",
    "detail": EVIL, "run_id": None, "backfill": False, "by": EVIL,
}  # fmt: skip
FIRED = SKIPPED | {"id": "d2", "decision": "fired", "run_id": "r1", "backfill": True, "reason": None}
COMING = [{"at": NOW, "due_at": NOW, "local": "2026-03-29T03:00:00+02:00", "note": EVIL}]
SCHEDULES = [
    SCHEDULE | {"last_decision": SKIPPED},
    SCHEDULE | {"id": "s2", "state": "over", "next_due_at": None, "paused": False},
]
ONE_SCHEDULE = {
    "schedule": SCHEDULE,
    "coming": COMING,
    "decisions": [SKIPPED, FIRED],
    "range": {"since": EVIL, "until": ""},
}
BACKFILL = {"started": 1, "instants": [{"at_instant": NOW, "run_id": "r1", "new": n > 0} for n in range(25)]}
SCHEDULE_FORM = {
    "fields": dict.fromkeys(
        ["flow", "flow_name", "name", "kind", "cron", "every", "unit", "rrule", "at", "anchor", "timezone", "jitter", "catchup",
         "max_lateness", "overlap", "parameters", "configuration", "tags", "deployment"], EVIL),
    "flows": [{"id": "f1", "name": EVIL}], "zones": ["UTC"], "words": EVIL, "zone": EVIL, "coming": COMING,
}  # fmt: skip

TASK_HISTORY = {
    "task_id": "t1", "task_name": EVIL, "flow_id": "f1", "flow_name": EVIL,
    "statistic": STATISTICS | {"min_duration_ms": 4.0, "max_duration_ms": 5.0},
    "versions": [STATISTICS | {"flow_version": EVIL}], "histogram": [{"low_ms": 4.0, "high_ms": 5.0, "count": 1}],
}  # fmt: skip

PAGES = {
    "home": ("home", {"flows": [flow(), flow(id="f2", recent=[], statistics=None, parameters={})], "live_runs": [run()], "summary": SUMMARY, "failed": [run("FAILED")], "services": [{"name": "engine", "status": "missing", "lag": 3, "lag_ms": 40, "detail": ""}, {"name": "projector", "status": "degraded", "lag": 0, "lag_ms": 0, "detail": EVIL}], "late": [SKIPPED | {"schedule_id": "s1", "flow_name": EVIL, "schedule_name": EVIL, "times": 3}]}),
    "home, empty": ("home", {"flows": [], "live_runs": [], "summary": SUMMARY}),
    "runs": ("runs", {"runs": [run(state, id=state) for state in STATES], "filters": FILTERS, "flows": [{"id": "f1", "name": EVIL}], "older": "/runs?before=x", "first": False, "workers": [EVIL], "own_query": "text=x", "told": EVIL, "refused": {"r1": EVIL}}),
    "runs, empty": ("runs", {"runs": [], "filters": NO_FILTERS, "flows": [], "older": None, "first": True, "workers": [], "own_query": ""}),
    "run": ("run", {"run": run(), "tasks": [task()], "logs": [log(), log(2, task_run_id="t1", task_key=EVIL)], "logs_earlier": "/x", "actions": ["cancel"]}),
    "run, bare": ("run", {"run": bare_run(), "tasks": [], "logs": [], "logs_earlier": None}),
    "run, large": ("run", {"run": run("FAILED", end_time=NOW), "tasks": [task("COMPLETED", id=f"t{n}") for n in range(1200)], "logs": [], "logs_earlier": None}),
    "flow": ("flow", {"flow": flow(), "runs": [run()], "task_statistics": [STATISTICS], "values": {"p.a": EVIL}, "problems": PROBLEMS, "run_tags": EVIL}),
    "flow, bare": ("flow", {"flow": flow(tasks=[], recent=[], statistics=None, schedules=[], parameters={}, version=None), "runs": [], "task_statistics": []}),
    "statistics": ("statistics", {"statistics": {"tasks": [STATISTICS], "flows": [FLOW_STATISTICS]}, "trends": {"s": DAYS}}),
    "task": ("task_statistics", {"task": TASK_HISTORY}),
    "task, long ago": ("task_statistics", {"task": TASK_HISTORY | {"histogram": []}}),
    "flows": ("flows", {"cards": [perfect_ui.render("parts/flow_card.html", flow=flow())], "known": 2, "text": EVIL}),
    "flows, empty": ("flows", {"cards": [], "known": 0, "text": ""}),
    "statistics, empty": ("statistics", {"statistics": {"tasks": [], "flows": []}, "trends": {}}),
    "sql": ("sql", {**SQL, "query": EVIL, "name": EVIL, "result": RESULT, "problem": None}),
    "sql, wrong": ("sql", {**SQL, "query": EVIL, "name": "", "result": None, "problem": {"title": EVIL, "detail": EVIL}}),
    "schedules": ("schedules", {"schedules": SCHEDULES, "filters": {"flow": "", "state": "paused"}}),
    "schedules, none": ("schedules", {"schedules": [], "filters": {"flow": "", "state": ""}}),
    "schedule": ("schedule", {**ONE_SCHEDULE, "backfill": BACKFILL, "problems": [{"field": "since", "message": EVIL}]}),
    "schedule form, new": ("schedule_form", {**SCHEDULE_FORM, "schedule_id": None}),
    "schedule form, refused": ("schedule_form", {**SCHEDULE_FORM, "schedule_id": "s1", "made_by": "code", "problems": [{"field": "cron", "message": EVIL}, {"field": "", "message": EVIL}]}),
    "error": ("error", {"status": 404, "title": EVIL, "detail": EVIL}),
}  # fmt: skip
PARTS = {
    "summary": ({"summary": SUMMARY}, "summary"),
    "run_card": ({"run": run()}, "run-card-r1"),
    "run_row": ({"run": run()}, "run-row-r1"),
    "flow_card": ({"flow": flow()}, "flow-f1"),
    "run_header": ({"run": run()}, "run-r1-header"),
    "run_timeline": ({"run": run(), "tasks": [task()]}, "run-r1-timeline"),
    "task_row": ({"task": task()}, "task-t1"),
    "flow_statistics": ({"flow": flow()}, "flow-f1-statistics"),
    "trigger_form": ({"flow": flow()}, "trigger-form"),
    "schedule_row": ({"schedule": SCHEDULES[0]}, "schedule-row-s1"),
    "schedule_row_gone": ({"id": "s1"}, "schedule-row-s1"),
    "schedules_table": ({"schedules": SCHEDULES}, "schedules-table"),
    "schedule_header": ({"schedule": SCHEDULE}, "schedule-s1-header"),
    "schedule_gone": ({"id": "s1"}, "schedule-s1-header"),
    "schedule_coming": ({"schedule": SCHEDULE, "coming": COMING}, "schedule-s1-coming"),
    "schedule_decision": ({"decision": SKIPPED}, "decision-d1"),
    "schedule_preview": (SCHEDULE_FORM, "schedule-preview"),
    "flow_schedules": ({"flow_id": "f1", "schedules": SCHEDULES}, "flow-f1-schedules"),
}


class Policy(HTMLParser):
    """Collects what `default-src 'self'` would block, doubled ids, and labels that lead nowhere."""

    def __init__(self, html):
        super().__init__()
        self.faults, self.ids, self.labels, self._script = [], [], [], False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self._script = tag == "script" and "src" not in given
        if self._script or tag in {"style", "iframe", "object", "base"}:
            self.faults.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.faults.append(f"{tag} {name}")
            if name in {"src", "href", "action", "hx-post"} and not re.match(r"(/(?!/)|#|\?)", value or ""):
                self.faults.append(f"{tag} {name}={value}")
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "label" and "for" in given:
            self.labels.append(given["for"])


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("live", [True, False])
def test_page(name, live):
    template, context = PAGES[name]
    html = perfect_ui.render(f"pages/{template}.html", **context, **(LIVE if live else {}))
    page = Policy(html)
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labels) <= set(page.ids)
    assert "<script>alert" not in html
    assert ('data-seq="12.3"' in html) is live
    assert html.count("<h1") == 1


@pytest.mark.parametrize("name", PARTS)
def test_fragment_has_its_id_and_is_safe(name):
    context, identifier = PARTS[name]
    html = perfect_ui.render(f"parts/{name}.html", **context)
    part = Policy(html)
    assert part.ids[0] == identifier
    assert part.faults == []
    assert "<script>alert" not in html


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_a_header_and_a_card(state):
    for part in ("run_header", "run_card", "run_row"):
        assert f"{state.lower()}</span>" in perfect_ui.render(f"parts/{part}.html", run=run(state))


def test_rows_travel_in_an_envelope_that_keeps_them_rows():
    assert perfect_ui.render("parts/task_row.html", task=task()).startswith("<template><tr id=")
    page = perfect_ui.render("pages/run.html", **PAGES["run"][1])
    assert "<template" not in page


def test_log_lines_are_appended_in_order():
    html = perfect_ui.render("parts/log_lines.html", logs=[log(4), log(9)])
    assert html.startswith('<template data-append="run-logs">')
    assert re.findall(r'data-seq="(\d+)"', html) == ["4", "9"]


def test_a_final_card_leaves_and_a_live_one_stays():
    assert 'data-leave="8000"' in perfect_ui.render("parts/run_card.html", run=run("COMPLETED"))
    assert "data-leave" not in perfect_ui.render("parts/run_card.html", run=run("RUNNING"))


def test_live_progress_carries_what_the_browser_needs_as_json_in_one_attribute():
    html = perfect_ui.render("parts/run_header.html", run=run())
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.extend(value for name, value in attrs if name == "data-active")

    Reader().feed(html)
    assert found == [
        '[{"expected_ms": 10, "progress": 0, "share": 0.5, "start_time": "2026-01-01T00:00:10.000Z"}]'
    ]


def test_what_was_typed_stays_beside_its_problem():
    html = perfect_ui.render(
        "parts/trigger_form.html", flow=flow(), values={"p.a": "my text"}, problems=PROBLEMS
    )
    assert 'value="my text"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="p-a-error"' in html


def test_a_large_run_lists_a_bounded_number_of_rows():
    html = perfect_ui.render("pages/run.html", **PAGES["run, large"][1])
    assert html.count('<tr id="task-') == 300
    assert "900 more finished task runs" in html


def test_missing_context_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        perfect_ui.render("pages/home.html", flows=[], live_runs=[])
