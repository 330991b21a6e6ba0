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
    assert [line.calls for line in graph.lines].count(True) == 1


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
    assert [line.calls for line in graph.lines] == [True, False]


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
