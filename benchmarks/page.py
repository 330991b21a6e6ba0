"""Writes docs/benchmarks.md from what `table.py --out` and `compare.py --out` left.

python benchmarks/page.py FILE…
"""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
from figures import Workload, number
from table import row

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SHOWN_LOAD = 0.5

HEAD = """\
# Benchmarks

Generated from measurements by `benchmarks/page.py` (`just bench-all` makes them and this page); do not edit.

Two tables: what Perfect measured beside the goals it sets itself, and Perfect beside other orchestrators on the same work
in the same call. Flows and tasks do nothing themselves, so that what is measured is the orchestrator.
"""

SETTINGS = """\
## How it was set up

- **Durability.** Perfect's default syncs its files every 250 ms: the end of any process loses nothing, a power cut can cost
  the last 250 ms. *Strict* (`PERFECT_DURABILITY=strict`) syncs before each acknowledgement. The goals are for the default;
  strict is beside it. What the others do is said with each of them.
- **All parts run**: `perfect up` and one worker with 2 executors of 10 runs each, everything on this machine. Each event of
  a run is in its log, `task.started` too, each task's end is acknowledged before the next task starts, and the time goes
  on until the API shows all of it.
- W1, W2, W4, W6 are medians of several rounds, W3 and W8 percentiles of many requests, after a few that are not counted.
- W8's goal is about a million runs. The table says how many there were; `python benchmarks/run_list.py --runs 1000000`
  makes them all.
"""

NOT_COMPARABLE = """\
## What is not comparable

- **A library is not a server.** DBOS runs workflows in the program's own process and has no server parts, no log lines and
  no API over HTTP. Its sequential and parallel steps are called inside that process, which no other side here is. Its
  memory row is a program, Perfect's is a worker with two executors.
- **What "shown" means.** Perfect's and Prefect's times go on until the HTTP API shows every task. With DBOS and Restate the
  step is in their database once the call returns, and that is where the time ends.
- **Durability differs.** DBOS on SQLite and Restate sync their journal before they go on; compare them with Perfect's
  *strict* column, where the ratio that is shown is with the default. Prefect's SQLite (synchronous = NORMAL) does not sync
  each commit, and its task runs go to the server unacknowledged.
- **How a run starts.** Prefect starts a process for each run and finds it by polling; that is its W2 and W3, and is left
  out of its W1, W4 and W6, which begin with the flow's first line. A trigger of DBOS comes from another process through
  the database, since there is no HTTP; what it takes within one process stands in a row of its own.
- **Recovery.** Perfect goes on by itself; DBOS and Restate's services were started again by hand at once, which a supervisor
  would do later. Prefect's row says what became of the run.
- **Sizes.** Where a side would take more than a minute it does less of the same, which is said with it. A rate over fewer
  runs holds more of the start of the first of them.
- **The list of runs** (W8) is compared on what the writers have just written, not on a long history. Triggers of Perfect are
  also executed meanwhile; Prefect's writes are runs that have ended already.
- The peers were set up as their own documentation recommends, not tuned, but for Prefect's recorder, whose best known
  setting is a row of its own.
"""


def machine(found: dict[str, Any]) -> str:
    load = found["load"]
    said = (
        f"{found['cores']} cores ({found['model']}), {found['memory_gib']} GiB of memory, disk: {found['disk']}, "
        f"{found['system']}, Python {found['python']}; load when it began: {load}"
    )
    if load > SHOWN_LOAD:
        said += " (**not quiet**: times are longer than they would be; ratios hold better)"
    return said


def versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())


def table(header: list[str], lines: list[list[str]]) -> str:
    marked = [header, ["---"] * len(header), *lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in marked)


def own(result: dict[str, Any]) -> str:
    lines = [
        list(row(workload, figure))
        for workload in msgspec.convert(result["workloads"], list[Workload])
        for figure in workload.figures
    ]
    text = "## Perfect and its goals\n\n"
    text += f"{result['at']}, {versions(result['versions'])}.  \n{machine(result['machine'])}.\n\n"
    text += table(["workload", "figure", "goal", "measured", "strict"], lines)
    missed = sum("✗" in line[3] for line in lines)
    text += f"\n✗ = the goal was missed: {missed} of {len(lines)} figures.\n"
    for id_, why in result.get("failed", {}).items():
        text += f"\n{id_} was not measured: {' '.join(why.split())[:300]}\n"
    return text


def compared(result: dict[str, Any]) -> str:
    text = f"### {result['peer']}\n\n"
    if "not_measured" in result:
        return text + f"Not measured: {' '.join(result['not_measured'].split())}\n"
    text += f"{result['at']}, {versions(result['versions'])}.  \n{machine(result['machine'])}.\n\n"
    lines = []
    for one in result["rows"]:
        mine, strict, its = (
            "–" if value is None else number(value)
            for value in (one["perfect"], one.get("perfect_strict"), one["peer"])
        )
        if one["peer"] is None and one["why"]:
            its = one["why"]
        ahead = f"{number(one['ahead'])} ×" if one["ahead"] else "–"
        lines.append([one["workload"], f"{one['label']}, {one['unit']}", mine, strict, its, ahead])
    text += table(["", "workload", "Perfect", "strict", result["peer"], "Perfect is better by"], lines)
    text += "\n"
    names = {"many_runs": "runs in W2", "first_line": "triggers in W3"}
    less = [
        f"{size} {names[name]} instead of {result['sizes'][name]}"
        for name, size in result["peer_sizes"].items()
        if size < result["sizes"][name]
    ]
    for note in [*result["notes"], *([f"did less: {', '.join(less)}"] if less else [])]:
        text += f"- {note}\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--to", type=Path, default=PAGE, help="another page than docs/benchmarks.md")
    arguments = parser.parse_args()
    results = [json.loads(file.read_text()) for file in arguments.files]
    parts = [HEAD, *(own(one) for one in results if "workloads" in one)]
    peers = [compared(one) for one in results if "peer" in one]
    if peers:
        intro = (
            "## Beside others\n\nMedians of the rounds of one call in which both sides took turns. "
            "More than 1 × = Perfect is ahead.\n"
        )
        parts += ["\n\n".join([intro.rstrip(), *(one.rstrip() for one in peers)]) + "\n"]
    parts += [SETTINGS, NOT_COMPARABLE]
    arguments.to.write_text("\n".join(parts))
    print(f"{arguments.to.name}: {len(results)} measurements")


if __name__ == "__main__":
    main()
