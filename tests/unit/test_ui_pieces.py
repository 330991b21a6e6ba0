"""The small pieces of the UI: colours of log lines, durations, times, forms, the timeline, frames of the stream."""

import json

import pytest

from perfect_ui import form_parameters, form_values, frame, signal
from perfect_ui.ansi import ansi
from perfect_ui.formats import duration, log_source, percent, task_number, time_tag
from perfect_ui.forms import fields
from perfect_ui.rendering import schedule_text, task_window
from perfect_ui.strip import strip
from perfect_ui.timeline import GROUP_ABOVE, ticks, timeline

ESC = "\x1b"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>&", "plain &lt;b&gt;&amp;"),
        (f"{ESC}[31mred{ESC}[0m rest", '<span class="ansi-fg-1">red</span> rest'),
        (
            f"{ESC}[1;32m<ok>{ESC}[22m.",
            '<span class="ansi-bold ansi-fg-2">&lt;ok&gt;</span><span class="ansi-fg-2">.</span>',
        ),
        (f"{ESC}[38;5;196mx", '<span class="ansi-fg-1">x</span>'),
        (f"{ESC}[48;2;0;0;0mx", '<span class="ansi-bg-0">x</span>'),
        (f"{ESC}[38;5;9mx{ESC}[39my", '<span class="ansi-fg-9">x</span>y'),
        (f"{ESC}[2J{ESC}[1;1Hclear{ESC}]0;title\x07!", "clear!"),
        (f"{ESC}]8;;javascript:alert(1){ESC}\\link{ESC}]8;;{ESC}\\", "link"),
        (f"cut {ESC}[", "cut "),
        (f"{ESC}[38;5mx", "x"),
        ("bell\x07 null\x00", "bell null"),
    ],
)
def test_ansi_becomes_classes_and_everything_is_escaped(text, html):
    assert str(ansi(text)) == html


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "–"), (0, "< 1 ms"), (0.4, "< 1 ms"), (350, "350 ms"), (999.6, "1.0 s"), (4200, "4.2 s"), (59_949, "59.9 s"),
        (59_950, "1m 00s"), (185_000, "3m 05s"), (3_599_600, "1h 00m"), (8_040_000, "2h 14m"), (273_600_000, "3d 4h"), (-5, "< 1 ms"),
    ],
)  # fmt: skip
def test_durations(ms, text):
    assert duration(ms) == text


def test_percent_never_rounds_up_to_done():
    assert percent(99.9) == "99%"
    assert percent(100) == "100%"
    assert percent(None) == "–"


def test_time_is_utc_in_the_html():
    assert str(time_tag("2026-01-02T03:04:05.678Z")) == (
        '<time datetime="2026-01-02T03:04:05.678000Z" data-style="relative">2026-01-02 03:04:05 UTC</time>'
    )
    assert ">03:04:05.678</time>" in time_tag("2026-01-02T05:04:05.678+02:00", "clock")
    assert str(time_tag(None)) == "–"


SCHEMA = {
    "type": "object",
    "required": ["day", "count"],
    "$defs": {"Mode": {"enum": ["append", "replace"]}},
    "properties": {
        "day": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "ratio": {"type": "number", "default": 0.5},
        "strict": {"type": "boolean", "default": True},
        "maybe": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
        "mode": {"$ref": "#/$defs/Mode", "default": "append"},
        "level": {"enum": [1, 2, 3], "default": 2},
        "limit": {"type": ["integer", "null"], "default": None},
        "options": {"type": "object", "default": {"a": [1]}},
        "names": {"type": "array", "items": {"type": "string"}},
    },
}


def test_form_decodes_every_kind():
    form = {
        "p.day": "today", "p.count": "3", "p.ratio": "1e-2", "p.strict": ["false", "true"], "p.maybe": "false", "p.mode": "replace",
        "p.level": "3", "p.limit": "", "p.options": '{"b": null}', "p.names": "",
    }  # fmt: skip
    assert form_parameters(SCHEMA, form) == (
        {
            "day": "today", "count": 3, "ratio": 0.01, "strict": True, "maybe": False, "mode": "replace", "level": 3,
            "limit": None, "options": {"b": None},
        },
        [],
    )  # fmt: skip


def test_form_values_read_back_as_the_same_parameters():
    parameters = {
        "day": "today", "count": 3, "ratio": 0.01, "strict": False, "maybe": None, "mode": "replace", "level": 3,
        "limit": None, "options": {"b": [None]}, "names": ["x"], "gone": 1,
    }  # fmt: skip
    values = form_values(SCHEMA, parameters)
    assert values["p.day"] == "today"
    del parameters["gone"]
    assert form_parameters(SCHEMA, values) == (parameters, [])
    shown = {field.name: field.text for field in fields(SCHEMA, form_values(SCHEMA, {"count": 4}), [])}
    assert (shown["count"], shown["ratio"], shown["strict"]) == ("4", "0.5", "true")


@pytest.mark.parametrize(
    ("shape", "text", "step"),
    [
        ({"type": "integer"}, "3", "1"),
        ({"type": "integer"}, "", "1"),
        ({"type": "integer"}, "2.5", "any"),  # a browser would go on in steps from there
        ({"type": "integer"}, "three", "any"),
        ({"type": "integer", "minimum": 1}, "", "1"),
        ({"type": "number", "minimum": 1, "multipleOf": 5}, "", "any"),
        ({"type": "number", "multipleOf": 0.1}, "0.3", "0.1"),
        ({"type": "number"}, "0.5", "any"),
    ],
)
def test_a_number_field_refuses_nothing_legal(shape, text, step):
    [field] = fields({"properties": {"n": shape}}, {"p.n": text}, [])
    assert field.attributes["step"] == step


def test_task_numbers_and_log_sources():
    assert [task_number(key) for key in ("a-0", "a/b-11", "odd", "x-y")] == [1, 12, 1, 1]
    assert log_source({"task_key": "train-1", "logger": "perfect.task_runs"}) == "train-1"
    assert log_source({"task_key": None, "logger": "perfect.flow_runs"}) == "flow"
    assert log_source({"logger": "my.module"}) == "my.module"
    assert log_source({"logger": None}) == ""


def test_form_without_fields_leaves_the_defaults_to_the_flow():
    assert form_parameters(SCHEMA, {"configuration": "debug"}) == ({}, [])


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("count", "three", "'three' is not a whole number."),
        ("count", "1.5", "'1.5' is not a whole number."),
        ("count", "", "A value is required."),
        ("ratio", "nan", "'nan' is not a finite number."),
        ("mode", "drop", "Choose one of append, replace."),
        ("options", "{", "This is not valid JSON: "),
    ],
)
def test_form_problems_name_the_field(field, text, message):
    parameters, problems = form_parameters(SCHEMA, {f"p.{field}": text})
    assert parameters == {}
    assert [problem["field"] for problem in problems] == [field]
    assert problems[0]["message"].startswith(message)


def test_fields_keep_what_was_typed_and_show_defaults():
    made = {field.name: field for field in fields(SCHEMA, None, [])}
    assert [field.kind for field in made.values()] == [
        "text", "number", "number", "checkbox", "select", "select", "select", "number", "json", "json",
    ]  # fmt: skip
    assert made["day"].required
    assert made["ratio"].text == "0.5"
    assert made["limit"].type_name == "integer, optional"
    assert json.loads(made["options"].text) == {"a": [1]}
    assert made["maybe"].options[0] == ("", "none")
    again = {f.name: f for f in fields(SCHEMA, {"p.count": "x"}, [{"field": "count", "message": "no"}])}
    assert (again["count"].text, again["count"].error) == ("x", "no")


def test_a_schema_that_refers_to_itself_ends():
    schema = {"properties": {"tree": {"$ref": "#/$defs/Tree"}}, "$defs": {"Tree": {"$ref": "#/$defs/Tree"}}}
    assert [field.kind for field in fields(schema, None, [])] == ["json"]


def task(number, start, end, name="step", state="COMPLETED"):
    return {
        "id": f"t{number}", "task_key": f"{name}-{number}", "name": name, "state": state, "duration_ms": None if end is None else end - start,
        "start_time": f"2026-01-01T00:00:{start / 1000:06.3f}Z",
        "end_time": None if end is None else f"2026-01-01T00:00:{end / 1000:06.3f}Z",
    }  # fmt: skip


RUN = {"id": "r", "state": "RUNNING", "start_time": "2026-01-01T00:00:00Z", "end_time": None}


def test_timeline_places_bars_in_ms_from_the_start():
    line = timeline(RUN, [task(2, 500, None, state="RUNNING"), task(1, 100, 400)], "2026-01-01T00:00:02Z")
    assert line.span_ms == 2000
    assert [(row.link, row.bars[0].x, row.bars[0].width, row.bars[0].live) for row in line.rows] == [
        ("#task-t1", 100, 300, False),
        ("#task-t2", 500, 1500, True),
    ]


def test_timeline_groups_many_task_runs_and_shows_the_worst():
    tasks = [task(n, n * 10, n * 10 + 9, name="load") for n in range(GROUP_ABOVE + 1)]
    tasks[100]["state"] = "FAILED"
    line = timeline(
        {**RUN, "state": "FAILED", "end_time": "2026-01-01T00:00:02.100Z"}, tasks, "2026-01-01T01:00:00Z"
    )
    (row,) = line.rows
    assert (row.label, row.count, row.note, row.tone) == ("load", 201, "200 of 201, 1 failed", "bad")
    assert [bar.tone for bar in row.bars] == ["good", "bad", "good"]
    assert sum(bar.width for bar in row.bars) <= line.span_ms + 1


def test_timeline_before_anything_started():
    assert timeline({**RUN, "state": "PENDING", "start_time": None}, [], "2026-01-01T00:00:02Z").rows == ()


@pytest.mark.parametrize("span", [0.5, 1, 7, 130, 2300, 61_000, 3_700_000, 90_000_000, 5_000_000_000])
def test_ticks_are_few_and_inside(span):
    marks = ticks(span)
    assert 1 <= len(marks) <= 9
    assert all(0 <= at <= 100 for at, _ in marks)


def test_strip_stands_at_the_right_edge_and_is_bounded():
    recent = [
        {"id": str(n), "state": "COMPLETED", "start_time": None, "duration_ms": n or None} for n in range(40)
    ]
    columns = strip(recent)
    assert len(columns) == 24
    assert columns[-1].href == "/runs/0"
    assert all(column.y >= 0 and column.y + column.height <= 28.1 for column in columns)


def test_task_window_prefers_what_needs_attention():
    tasks = [task(n, n, n + 1) for n in range(50)]
    tasks[3]["state"] = "FAILED"
    assert [each["id"] for each in task_window(tasks, 3)] == ["t3", "t48", "t49"]
    assert task_window(tasks, 50) == tasks


def test_schedule_text():
    assert schedule_text({"cron": "0 2 * * *"}) == "0 2 * * *"
    assert schedule_text({"interval_ms": 60_000}) == "every 1m 00s"


def test_frames_hold_their_lines_together():
    assert frame("<p>a\r\nb\rc</p>\n", id="7.2") == b"id: 7.2\ndata: <p>a\ndata: b\ndata: c</p>\n\n"
    assert signal("ping") == b"event: ping\ndata: 1\n\n"
    with pytest.raises(ValueError, match="needs data"):
        signal("resync", "")
    with pytest.raises(ValueError, match="one line"):
        frame("x", id="1\ndata: forged")
