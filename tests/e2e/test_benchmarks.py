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
    rows = [line.split(" | ") for line in page.read_text().splitlines() if line.startswith("| W")]
    assert [cells[1] for cells in rows] == [name for names in FIGURES.values() for name in names]
