"""The graph of a run: what stands beside what, which lines are drawn, and when it is grouped."""

from perfect_ui.run_graph import MOST_BOXES, run_graph

NOW = "2026-01-01T00:01:00Z"


def task(key: str, start: float, end: float | None, state: str = "COMPLETED") -> dict:
    def moment(second: float | None) -> str | None:
        return None if second is None else f"2026-01-01T00:00:{second:06.3f}Z"

    return {
        "task_key": key,
        "name": key.rpartition("/")[2].rpartition("-")[0],
        "state": state,
        "start_time": moment(start),
        "end_time": moment(end),
        "duration_ms": None if end is None else int((end - start) * 1000),
    }


def columns(graph) -> dict[str, int]:
    return {box.key: box.x for box in graph.boxes}


def test_a_diamond():
    graph = run_graph([task("a-0", 0, 1), task("b-0", 1, 3), task("b-1", 1, 2), task("c-0", 3, 4)], NOW)
    x = columns(graph)
    assert x["a-0"] < x["b-0"] == x["b-1"] < x["c-0"]
    assert len(graph.lines) == 4, "a to both, both to c, none from a to c"
    assert not graph.grouped


def test_what_a_task_called_stands_behind_a_dashed_line():
    graph = run_graph(
        [task("a-0", 0, 5), task("a-0/in-0", 1, 2), task("a-0/in-1", 3, 4), task("b-0", 6, 7)], NOW
    )
    x = columns(graph)
    assert x["a-0"] < x["a-0/in-0"] < x["a-0/in-1"] < x["b-0"]
    assert [line.kind for line in graph.lines].count("calls") == 1


def test_what_still_runs_has_no_successor():
    graph = run_graph([task("a-0", 0, None, "RUNNING"), task("b-0", 1, 2)], NOW)
    assert graph.lines == ()
    assert {box.key: box.mark for box in graph.boxes} == {"a-0": "▸", "b-0": "✓"}


def group(family: str, start: float, end: float | None, **states: int) -> dict:
    began = 1767225600  # 2026-01-01
    return {
        "family": family,
        "key": f"{family}-0",
        "name": family.rpartition("/")[2],
        "start": int((began + start) * 1e6),
        "end": None if end is None else int((began + end) * 1e6),
        "states": states,
    }


def test_many_are_grouped_by_task_and_the_worst_shows():
    groups = [
        group("square", 1, 2, COMPLETED=4998, FAILED=1, CACHED=1),
        group("square/part", 1.2, 1.4, COMPLETED=1),
        group("total", 3, 4, COMPLETED=1),
    ]
    graph = run_graph([], NOW, {"groups": groups, "tasks": 5002, "left_out": 0})
    assert graph.grouped
    assert [(box.label, box.tone) for box in graph.boxes] == [
        ("square", "bad"),
        ("part", "good"),
        ("total", "good"),
    ]
    assert graph.boxes[0].note == "×5\u202f000, 1.0 s, 1 failed"
    assert graph.boxes[1].note == "200 ms"
    assert [line.kind for line in graph.lines] == ["calls", "then"]


def test_a_group_of_which_some_run_ends_now():
    graph = run_graph(
        [], NOW, {"groups": [group("a", 50, None, COMPLETED=1, RUNNING=1)], "tasks": 2, "left_out": 3}
    )
    assert (graph.boxes[0].tone, graph.boxes[0].note) == ("run", "×2, 10.0 s")
    assert graph.left_out == 3


def test_a_bounded_number_of_boxes():
    graph = run_graph([task(f"t{chr(97 + n // 26)}{chr(97 + n % 26)}-0", 1, 2) for n in range(300)], NOW)
    assert len(graph.boxes) == MOST_BOXES
    assert graph.left_out == 300 - MOST_BOXES


def test_nothing_has_started():
    graph = run_graph([task("a-0", 0, None) | {"start_time": None}], NOW)
    assert graph.boxes == ()


def kinds(graph) -> list[str]:
    return sorted(line.kind for line in graph.lines)


def titles(graph) -> dict[str, str]:
    return {box.key: box.title for box in graph.boxes}


def test_lines_of_inputs_stand_for_those_of_the_order():
    tasks = [task("a-0", 0, 1), task("b-0", 1, 3), task("b-1", 1, 2), task("c-0", 3, 4), task("d-0", 5, 6)]
    for one, after in zip(tasks, ([], ["a-0"], ["a-0"], ["b-0", "b-1", "a-0"], []), strict=True):
        one["after"] = after
    graph = run_graph(tasks, NOW)
    assert kinds(graph) == ["input"] * 5 + ["then"]
    x = columns(graph)
    assert x["a-0"] < x["b-0"] == x["b-1"] < x["c-0"] < x["d-0"]
    assert titles(graph)["c-0"] == "c: 1.0 s; inputs from b, b #2, a"
    assert titles(graph)["d-0"] == "d: 1.0 s"


def test_inputs_from_what_is_not_drawn_are_named_all_the_same():
    graph = run_graph([task("a-0", 0, 1) | {"after": [f"gone-{n}" for n in range(8)]}], NOW)
    assert graph.lines == ()
    said = "gone-0, gone-1, gone-2, gone-3, gone-4, gone-5 and 2 more"
    assert titles(graph)["a-0"] == f"a: 1.0 s; inputs from {said}"


def test_what_a_body_called_may_have_inputs_from_outside_of_it():
    tasks = [task("a-0", 0, 1), task("b-0", 1, 5), task("b-0/in-0", 2, 3) | {"after": ["a-0"]}]
    graph = run_graph(tasks, NOW)
    assert kinds(graph) == ["calls", "input", "then"]


def test_groups_that_overlap_stand_in_the_order_of_their_inputs():
    groups = [
        group("load", 0, 9, COMPLETED=5000),
        group("parse", 1, 10, COMPLETED=5000) | {"after": {"load": 5000}},
        group("total", 10, 11, COMPLETED=1) | {"after": {"parse": 1}},
    ]
    graph = run_graph([], NOW, {"groups": groups, "tasks": 10001, "left_out": 0})
    x = columns(graph)
    assert x["load-0"] < x["parse-0"] < x["total-0"]
    assert [(line.kind, line.count) for line in graph.lines] == [("input", "×5\u202f000"), ("input", "")]
    assert titles(graph)["parse-0"].endswith("; inputs from load ×5\u202f000")


def test_groups_with_inputs_from_each_other_and_themselves():
    groups = [
        group("a", 0, 9, COMPLETED=50) | {"after": {"b": 49, "a": 3}},
        group("b", 1, 10, COMPLETED=50) | {"after": {"a": 50}},
    ]
    graph = run_graph([], NOW, {"groups": groups, "tasks": 100, "left_out": 0})
    x = columns(graph)
    assert x["a-0"] < x["b-0"]
    assert kinds(graph) == ["input"] * 3
    assert titles(graph)["a-0"].endswith("; inputs from b ×49, itself ×3")
    lowest = max(box.y for box in graph.boxes) + graph.box_height
    assert graph.height > lowest + 20, "the line that goes back has room below"
