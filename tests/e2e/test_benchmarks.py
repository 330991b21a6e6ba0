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
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "table.py", "--tiny", "--out", kept],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {one["benchmark"]: [figure["name"] for figure in one["figures"]] for one in said} == FIGURES
    for one in said:
        assert f"{one['benchmark']}: {one['name']}: " in done.stdout
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
