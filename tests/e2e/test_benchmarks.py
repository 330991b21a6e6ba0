"""The benchmarks work: each workload on a few of everything, and what it says of it. No times: machines differ."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PATIENCE_S = 280  # a quarter of a minute on a quiet machine
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
FIGURES = {
    "W1": ["time"],
    "W2": ["rate"],
    "W3": ["p50", "p95"],
    "W4": ["time"],
    "W5": ["start until healthy", "memory", "processor"],
    "W6": ["time"],
    "W7": ["executor", "whole worker host"],
    "W8": [
        "newest page, idle",
        "deep page, idle",
        "newest page, busy",
        "deep page, busy",
        "refused of 8 writes",
    ],
}


@pytest.mark.timeout(300)
def test_every_workload_is_done_and_said(tmp_path: Path) -> None:
    kept = tmp_path / "perfect.json"
    command = [sys.executable, BENCHMARKS / "table.py", "--tiny", "--out", kept]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as bench:
        try:
            output, _ = bench.communicate(timeout=PATIENCE_S)
        finally:
            bench.terminate()  # it ends what it has started
    assert bench.returncode == 0, output
    said = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert {one["benchmark"]: [figure["name"] for figure in one["figures"]] for one in said} == FIGURES
    for one in said:
        assert f"{one['benchmark']}: {one['name']}: " in output
        for figure in one["figures"]:
            better = (
                figure["value"] >= figure["goal"]
                if figure["is_more_better"]
                else figure["value"] <= figure["goal"]
            )
            assert figure["met"] is better, figure
            assert figure["value"] > 0 or figure["name"] in ("processor", "refused of 8 writes"), figure
    result = json.loads(kept.read_text())
    assert result["failed"] == {}
    assert [one["id"] for one in result["workloads"]] == sorted(FIGURES)
    assert result["machine"]["cores"] >= 1
    assert "perfect-flow" in result["versions"]

    page = tmp_path / "benchmarks.md"
    subprocess.run(
        [sys.executable, BENCHMARKS / "page.py", kept, "--to", page], timeout=PATIENCE_S, check=True
    )
    lines = [line for line in page.read_text().splitlines() if line.startswith("| W")]
    rows = [line.split(" | ") for line in lines if line[4] == ":"]  # the others are of floors
    assert [cells[1] for cells in rows] == [name for names in FIGURES.values() for name in names]


def test_the_page_says_where_a_peer_is_ahead_and_where_it_did_less(tmp_path: Path) -> None:
    row = {"unit": "s", "perfect_each": [1.0, 3.0], "peer_each": [], "why": None}
    quick = row | {"workload": "W1", "figure": "sequential_shown_s", "label": "1,000 sequential tasks"}
    late = row | {"workload": "W3", "figure": "first_line_p50_ms", "label": "trigger to first line"}
    at = {"at": "2026-01-01T00:00:00+00:00", "versions": {"one": "1.0"}, "notes": ["a note"]}
    host = {"cores": 2, "model": "m", "memory_gib": 8, "disk": "d", "system": "s", "python": "3", "load": 0}
    peer = {
        "peer": "Restate",
        "sizes": {"first_line": 50},
        "peer_sizes": {"first_line": 20},
        "rows": [
            quick | {"perfect": 2.0, "perfect_strict": 8.0, "peer": 6.0, "ahead": 3.0, "ahead_strict": 0.75},
            late | {"perfect": 2.0, "perfect_strict": None, "peer": 1.0, "ahead": 0.5, "ahead_strict": None},
        ],
    }
    floor = {"floor": 0.5, "floor_is": "as many publishes, one after the other"}
    figure = {"name": "time", "unit": "s", "value": 2.0, "goal": 1.0} | floor
    own = {"failed": {}, "workloads": [{"id": "W1", "done": "tasks", "figures": [figure]}]}
    files = []
    for name, result in (
        ("own", own),
        ("peer", peer),
        ("none", {"peer": "Prefect", "not_measured": "no pip"}),
    ):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps({"rows": []} | at | {"machine": host} | result))
    page = tmp_path / "benchmarks.md"
    command = [sys.executable, BENCHMARKS / "page.py", *files, "--to", page]
    subprocess.run(command, timeout=PATIENCE_S, check=True)
    text = page.read_text()
    assert "| W1 | 1,000 sequential tasks, s | 2 | 8 | 6 (3 ×, strict 0.75 × ✗) |" in text
    assert "| W3 | trigger to first line, s | 2 | – | 1† (0.5 × ✗) |" in text
    assert "ahead in 1 of 2 comparisons" in text
    assert "† Restate: W3 with 20 triggers instead of 50" in text
    assert "| W1: tasks | time | ≤ 1 s | 2 s ✗ |  | 0.5 s |" in text
    assert "| W1, time | 2 s | 0.5 s | 4 × | as many publishes, one after the other |" in text
    assert "Not measured: no pip" in text
