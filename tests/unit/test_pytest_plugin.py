"""The fixtures that users get with the package."""

import subprocess
import sys
from pathlib import Path

SUITE = """
from datetime import timedelta
from perfect_sdk import flow, sleep, task
from perfect_sdk.testing import START

@task(retries=1, retry_delay_seconds=3600)
def flaky(seen: list[int] = []) -> int:
    seen.append(1)
    if len(seen) == 1:
        raise ValueError("again")
    return len(seen)

@flow
def work() -> int:
    return flaky()

def test_a_flow_that_is_called(perfect_clock, perfect_offline):
    assert work() == 2
    assert perfect_clock.now() - START == timedelta(hours=1)
"""


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_flows.py").write_text(code)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "test_flows.py",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_fixtures_for_users(tmp_path: Path):
    done = run(tmp_path, SUITE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_who_does_not_use_them_pays_nothing(tmp_path: Path):
    code = "import sys\ndef test_it():\n    assert 'perfect_sdk' not in sys.modules\n"
    done = run(tmp_path, code)
    assert done.returncode == 0, done.stdout + done.stderr
