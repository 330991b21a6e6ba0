"""How long `python my_flow.py` takes to the first line of user code: with nothing running, and with a system.

Its parts, each the median of several fresh processes: Python itself, importing the SDK, reaching the flow's body.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import report, system

ROUNDS = 7
FIRST_LINE_S = 0.3
SCRIPT = """\
import time
began = time.time()
from perfect_sdk import flow, task
imported = time.time()

@task
def double(n: int) -> int:
    return 2 * n

@flow(log_prints=False)
def hello(n: int = 1) -> int:
    print(began, imported, time.time(), flush=True)
    return double(n)

hello()
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="perfect-bench-") as folder:
        script = Path(folder) / "hello.py"
        script.write_text(SCRIPT)
        quiet = {name: value for name, value in os.environ.items() if not name.startswith("PERFECT_")}
        say("local_start", script, {**quiet, "XDG_STATE_HOME": folder}, goal_s=FIRST_LINE_S)
        with system(workers=0) as running:
            say("recorded_start", script, {**quiet, "PERFECT_DATA_DIR": str(running.folder)}, goal_s=None)


def say(name: str, script: Path, environment: dict[str, str], *, goal_s: float | None) -> None:
    once(script, environment)  # byte code, disk cache
    rounds = [once(script, environment) for _ in range(ROUNDS)]
    python, imports, first, whole = (statistics.median(values) for values in zip(*rounds, strict=True))
    report(
        name,
        f"first line of user code after {python + imports + first:.3f} s (Python {python:.3f}, import {imports:.3f}, "
        f"to the body {first:.3f}), the whole script {whole:.3f} s",
        python_s=python,
        import_s=imports,
        body_s=first,
        first_line_s=python + imports + first,
        whole_s=whole,
        is_met=goal_s is None or python + imports + first <= goal_s,
    )


def once(script: Path, environment: dict[str, str]) -> tuple[float, float, float, float]:
    """Seconds: until Python runs the script, for the import, from there to the flow's body, all in all."""
    started = time.time()
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        cwd=script.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    ended = time.time()
    began, imported, body = map(float, done.stdout.split())
    return began - started, imported - began, body - imported, ended - started


if __name__ == "__main__":
    main()
