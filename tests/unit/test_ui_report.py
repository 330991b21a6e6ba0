"""The report: self-contained, bounded, and nothing that a user wrote is markup in it."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

import perfect_ui
from perfect_ui.digest import differing, groups, notable
from perfect_ui.formats import signed
from perfect_ui.spread import WIDTH, spread

EVIL = "<script>alert('x')</script>\"'&"
BEGIN = "2026-01-01T00:00:00Z"


def second(n: float) -> str:
    return f"2026-01-01T00:{int(n // 60):02d}:{n % 60:09.6f}Z"


def task(n: int, name: str = "step", **more):
    return {
        "id": f"t{n}", "run_id": "r", "task_id": name, "task_key": f"{name}-{n}", "name": name, "state": "COMPLETED",
        "progress": 100, "start_time": second(n / 10), "end_time": second(n / 10 + 0.1), "duration_ms": 100,
        "attempt": 1, "performance_warning": None, "error": None, "expected_ms": None, "weight": 1,
        "origin_run_id": None, "queue": None,
    } | more  # fmt: skip


def run(**more):
    return {
        "id": "01a20608-8e99-7062-92e7-bf7a52865fb5", "flow_id": "f", "flow_name": EVIL, "flow_version": EVIL,
        "state": "FAILED", "progress": 50, "created_at": BEGIN, "start_time": BEGIN, "end_time": second(600),
        "duration_ms": 600_000, "queued_ms": 3, "configuration": "debug", "parameters": {EVIL: {EVIL: [EVIL]}},
        "tags": [EVIL], "client_name": EVIL, "attempt": 2,
        "error": {"type": EVIL, "message": EVIL, "traceback": EVIL}, "waiting_for": EVIL,
        "performance_warning": {"type": "slow", "severity": "critical", "message": EVIL}, "tasks_done": 1,
        "tasks_total": 2, "expected_ms": None, "name": EVIL, "origin": "api", "parent_run_id": EVIL,
        "origin_run_id": EVIL, "result_text": EVIL,
    } | more  # fmt: skip


def line(n: int, message: str = EVIL):
    return {
        "seq": n, "at": BEGIN, "level": "INFO", "logger": EVIL, "message": message, "task_run_id": None, "task_key": EVIL,
    }  # fmt: skip


HISTORY = {"avg_duration_ms": 90.0, "std_dev_ms": 5.0, "sample_count": 12}
PHASES = [
    {"kind": "queued", "start": BEGIN, "end": second(1), "text": EVIL, "duration_ms": 1000.0, "epoch": None},
    {"kind": "running", "start": second(1), "end": None, "text": EVIL, "duration_ms": 599_000.0, "epoch": 2},
]
CLIENT = {
    "id": "c1", "name": EVIL, "host": EVIL, "pid": 1, "epochs": [1, 2], "sdk_version": EVIL, "python_version": EVIL,
}  # fmt: skip


def report(**more) -> str:
    given = {
        "now": second(700), "run": run(), "tasks": [task(0, EVIL, performance_warning={"severity": "warning", "message": EVIL})],
        "tasks_cut": False, "phases": PHASES, "clients": [CLIENT], "history": HISTORY, "task_history": {EVIL: HISTORY},
        "logs_first": [line(1), line(2, "\x1b[31m" + EVIL)], "logs_left_out": 1234, "logs_last": [line(9)], "version": "1",
    }  # fmt: skip
    return perfect_ui.report(**given | more)


class Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


def test_it_asks_nothing_of_the_network_and_runs_no_script() -> None:
    html = report()
    seen = Seen(html)
    assert (
        not {"script", "link", "img", "iframe", "object", "embed", "form", "a", "base", "b-evil"} & seen.tags
    )
    assert not [one for one in seen.attributes if one[1] in {"src", "href", "xlink:href", "style", "srcset"}]
    assert not [one for one in seen.attributes if one[1].startswith("on")]
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert html.count("<style>") == 1


def test_what_users_write_is_text() -> None:
    html = report()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 20


def test_its_policy_allows_its_own_style_and_nothing_else() -> None:
    html = report()
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in perfect_ui.report_policy()
    policies = [value for tag, name, value in Seen(html).attributes if tag == "meta" and name == "content"]
    assert perfect_ui.report_policy() in policies
    assert perfect_ui.report_policy().startswith("default-src 'none'; ")


def test_ten_thousand_tasks_are_bounded_and_what_matters_stays() -> None:
    tasks = [task(n, f"step {n % 7}") for n in range(10_000)]
    tasks[5_000] |= {
        "state": "FAILED",
        "error": {"type": "E", "message": "the one that failed", "traceback": ""},
    }
    tasks[6_000] |= {"performance_warning": {"severity": "critical", "message": "the slow one"}}
    html = report(tasks=tasks)
    assert len(html) < 500_000
    assert "the one that failed" in html
    assert "the slow one" in html
    assert html.count("<li>") == 7
    assert "10\u202f000 task runs" in html


def test_five_tasks_have_a_row_each() -> None:
    html = report(tasks=[task(n) for n in range(5)])
    assert html.count("<li>") == 5
    assert "step #5" in html


def test_many_phases_are_bounded_but_counted() -> None:
    many = [
        {"kind": kind, "start": second(n), "end": second(n + 1), "text": f"phase {n}", "duration_ms": 1000.0, "epoch": n}
        for n in range(500)
        for kind in ["waiting" if n % 2 else "running"]
    ]  # fmt: skip
    html = report(phases=many)
    assert "440 phases left out" in html
    for n, times in ((0, 1), (29, 1), (30, 0), (250, 0), (469, 0), (470, 1), (499, 1)):
        assert html.count(f"<td>phase {n} ") + html.count(f"<td>phase {n}<") == times
    assert html.count("<rect") < 500


def test_it_says_what_is_left_out_of_the_log_and_what_is_missing() -> None:
    assert "1\u202f234 lines left out" in report()
    bare = report(
        run=run(start_time=None, end_time=None, error=None, parameters={}, tags=[], state="PENDING", duration_ms=None),
        tasks=[], phases=[], clients=[], history=None, task_history={}, logs_first=[], logs_last=[], logs_left_out=0,
    )  # fmt: skip
    for said in (
        "has not started",
        "called no task",
        "logged nothing",
        "No client has run it",
        "not enough runs",
    ):
        assert said in bare


def test_a_duration_against_its_history() -> None:
    found = spread(130.0, HISTORY)
    assert found is not None
    assert 0 < found.low < found.mean < found.high < (found.at or 0) <= WIDTH
    assert found.tone == "bad"
    assert "8.0σ slower" in found.text
    assert spread(95.0, HISTORY).tone == "run"
    assert spread(105.0, HISTORY).tone == "warn"
    assert spread(95.0, HISTORY | {"sample_count": 1}) is None
    assert spread(95.0, None) is None
    assert spread(None, HISTORY).at is None
    assert spread(1.0, HISTORY | {"std_dev_ms": None, "avg_duration_ms": 0.0}) is not None


def test_groups_and_what_is_notable_of_them() -> None:
    tasks = [task(n, "ab"[n % 2], duration_ms=n) for n in range(10)]
    tasks[3] |= {"state": "FAILED"}
    tasks[4] |= {"performance_warning": {"severity": "warning", "message": "slow"}}
    a, b = groups(tasks)
    assert (a.name, a.count, a.warned, a.not_good, a.least, a.most, a.total) == ("a", 5, 1, 0, 0, 8, 20)
    assert (b.not_good, b.tone, b.mean) == (1, "bad", 5)
    assert [one["id"] for one in notable(tasks, 3)] == ["t3", "t4", "t9"]


def test_pairs_that_differ_come_first_but_keep_their_order() -> None:
    pairs = [{"a_state": "COMPLETED", "b_state": "COMPLETED", "delta_ms": n} for n in (1, -9, 0)]
    alone = {"a_state": None, "b_state": "COMPLETED", "delta_ms": None}
    assert differing([*pairs, alone], 2) == [pairs[1], alone]


@pytest.mark.parametrize(
    ("ms", "shown"), [(None, "–"), (0, "±0"), (-0.4, "±0"), (350, "+350 ms"), (-4200, "−4.2 s")]
)
def test_differences_of_durations_have_a_sign(ms, shown) -> None:
    assert signed(ms) == shown
