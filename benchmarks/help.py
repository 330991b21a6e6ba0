"""How long `perfect COMMAND --help` takes: the processor time of the whole process, the least of several. Goal: 0.3 s."""

import json
import os
import subprocess
import sys

from perfect_sdk.cli.main import names

PROGRAM = (sys.executable, "-c", "import sys; from perfect_sdk.cli import main; sys.exit(main())")
TIMES = 3
GOAL_S = 0.3


def seconds(*words: str) -> float:
    before = os.times()
    subprocess.run([*PROGRAM, *words, "--help"], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    for words in ([], *([name] for name in names()), ["runs", "ls"]):
        least = min(seconds(*words) for _ in range(TIMES))
        said = {"benchmark": "help", "command": " ".join(["perfect", *words]), "cpu_s": round(least, 3)}
        print(json.dumps({**said, "ok": least <= GOAL_S}))


if __name__ == "__main__":
    main()
