"""The SQL page's result: how values stand, and what is drawn of them."""

import pytest

import perfect_ui
from perfect_ui.chart import chart, scale
from perfect_ui.result import cells, is_number

DAYS = [f"2026-01-0{n}" for n in range(1, 5)]


def test_numbers_stand_on_the_right_and_runs_are_links():
    types = ["UUID", "VARCHAR", "DECIMAL(9,2)", "UBIGINT[]"]
    ((run, name, number, several),) = cells(["run_id", "n", "d", "l"], types, [["0190", None, 1.5, [1, 2]]])
    assert (run.href, run.right) == ("/runs/0190", False)
    assert (name.text, name.empty) == ("NULL", True)
    assert (number.text, number.right) == ("1.5", True)
    assert (several.text, several.right) == ("[1, 2]", False)
    assert [is_number(kind) for kind in ("UINTEGER", "UUID", "UNION(a INTEGER)", "DOUBLE")] == [
        True,
        False,
        False,
        True,
    ]


def test_lines_over_time():
    drawn = chart(
        ["day", "runs", "failed"],
        ["DATE", "BIGINT", "BIGINT"],
        [[day, n * 10, n] for n, day in enumerate(DAYS)],
    )
    assert drawn is not None
    assert [line.name for line in drawn.series] == ["runs", "failed"]
    assert drawn.series[0].points.split()[0] == "0.0,1000.0"
    assert drawn.series[0].points.split()[-1] == "1000.0,0.0"
    assert drawn.columns[0].label == "01 Jan"
    assert drawn.rows[0].label == "0"


def test_a_line_a_name_where_a_text_tells_rows_apart():
    rows = [[day, flow, n] for n, day in enumerate(DAYS) for flow in ("a", "b")]
    drawn = chart(["day", "flow", "runs"], ["DATE", "VARCHAR", "BIGINT"], rows)
    assert drawn is not None
    assert sorted(line.name for line in drawn.series) == ["a", "b"]
    assert drawn.title == "runs over day"


def test_bars_by_name_below_zero_too():
    drawn = chart(["flow", "x"], ["VARCHAR", "DOUBLE"], [["a", 10.0], ["b", -10.0], ["c", None]])
    assert drawn is not None
    up, down = drawn.bars
    assert up.y + up.height == down.y
    assert up.height == down.height == 500
    assert up.title == "a: 10"


@pytest.mark.parametrize(
    ("types", "rows"),
    [
        (["VARCHAR", "BIGINT"], [["a", 1]]),
        (["VARCHAR", "VARCHAR"], [["a", "b"], ["c", "d"]]),
        (["BIGINT", "BIGINT"], [[1, 2], [3, 4]]),
        (["DATE", "BIGINT"], [["2026-01-01", 1], ["2026-01-01", 2]]),
        (["DATE", "BIGINT"], [[None, 1], ["0044-03-15 (BC)", 2]]),
        (["VARCHAR", "BIGINT"], [["a", None], ["b", None]]),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_not(types, rows):
    assert chart(["x", "y"], types, rows) is None


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 7), (0, 1e-9), (-3, 12345), (0, 1e18), (5, 5)])
def test_a_scale_holds_all_values(low, high):
    bottom, top, ticks = scale(low, high)
    assert bottom <= low
    assert top >= high
    assert 2 <= len(ticks) <= 8
    assert (ticks[0].at, ticks[-1].at) == (100, 0)


def test_the_page_without_a_schema_says_why():
    html = perfect_ui.render(
        "pages/sql.html", tables=[], no_tables="there is no room", saved=[], examples=[], name="", problem=None,
        result=None, query="FROM runs WHERE a < 1",
    )  # fmt: skip
    assert "there is no room" in html
    assert "FROM runs WHERE a &lt; 1</textarea>" in html
