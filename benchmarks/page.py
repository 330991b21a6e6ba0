"""Writes docs/benchmarks.md from what `table.py --out` and `compare.py --out` left.

python benchmarks/page.py FILE…
"""

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec
from figures import Workload, number
from machine import words_of
from summary import did_less, summary, times
from table import row

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SHOWN_LOAD = 0.5

HEAD = """\
# Benchmarks

Generated from measurements by `benchmarks/page.py` (`just bench-all` makes them and this page); do not edit.

First Perfect beside other orchestrators on the same work, then what Perfect measured beside the goals it sets itself, then
each comparison by itself. Flows and tasks do nothing themselves, so that what is measured is the orchestrator.
"""

FLOOR = """\
## What the floor is

What the same machine needed, in the same run, for what the workload cannot do without. 1 × would leave nothing to gain.
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

- **A library is not a server.** DBOS runs workflows in the program's own process and has no server parts of its own, no log
  lines and no API over HTTP. Its sequential and parallel steps are called inside that process, which no other side here is.
- **What "shown" means.** Perfect's and Prefect's times go on until the HTTP API shows every task; it is asked every 15 ms
  of Perfect and every 200 ms of Prefect, whose answer takes long enough to be in its own way. With DBOS and Restate the step
  is in their database once the call returns, and that is where the time ends.
- **Durability differs.** DBOS and Restate sync before they go on; compare them with Perfect's *strict* column, which has a
  ratio of its own. Prefect's SQLite (synchronous = NORMAL) does not sync each commit, and its task runs go to the server
  unacknowledged.
- **How a run starts.** Prefect starts a process for each run and finds it by polling; that is its W2 and W3, and is left
  out of its W1, W4 and W6, which begin with the flow's first line. A trigger of DBOS comes from another process through
  the database, since there is no HTTP; what it takes within one process stands in a row of its own. Triggers of a side that
  polls are spread over the time between two polls: asked right after the last one, each would wait equally long.
- **W5.** Each side alone. *Cold start*: in an empty folder until its health is good; of Perfect, Prefect and Restate the
  server, of DBOS the program, and its database server where it has one. *Server parts*: all processes of `perfect up`, of
  Prefect's server, of Restate's, of Postgres; of DBOS on SQLite there are none. *Worker*: Perfect's with its two executors,
  Prefect's `serve` while no run's process is there, Restate's Hypercorn with a process for each core, DBOS' program.
  *Processor*: both together. PSS counts a page that several processes share in parts.
- **Recovery.** Perfect goes on by itself; DBOS and Restate's services were started again by hand at once, which a supervisor
  would do later. Prefect's row says what became of the run.
- **Sizes.** Where a side would take more than a minute it does less of the same, which is said with it. A rate over fewer
  runs holds more of the start of the first of them.
- **The list of runs** (W8) is compared on what the writers have just written, not on a long history. Triggers of Perfect,
  DBOS and Restate are also executed meanwhile; Prefect's writes are runs that have ended already. A write counts as refused
  if it is not accepted when it is asked once, whatever the reason.
- **The client** is the same small one for every side with an HTTP API, in the process that measures; DBOS' own client is in
  another process, with the same timing around it.
- The peers were set up as their own documentation recommends, not tuned, but for what has rows or a table of its own and
  says so: Prefect's recorder and poll, and DBOS' poll.
"""


def machine(found: dict[str, Any]) -> str:
    load = found["load"]
    said = (
        f"{found['cores']} cores ({found['model']}), {found['memory_gib']} GiB of memory, disk: {found['disk']}, "
        f"{found['system']}, Python {found['python']}; load when it began: {load}"
    )
    if load > SHOWN_LOAD:
        said += " (**not quiet**: times are longer than they would be; ratios hold better)"
    if "acknowledged_ms" in found:
        said += f". {words_of(found).capitalize()}"
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
    text += table(["workload", "figure", "goal", "measured", "strict", "floor"], lines)
    missed = sum("✗" in line[3] for line in lines)
    text += f"\n✗ = the goal was missed: {missed} of {len(lines)} figures.\n"
    for id_, why in result.get("failed", {}).items():
        text += f"\n{id_} was not measured: {' '.join(why.split())[:300]}\n"
    return text


def floors(result: dict[str, Any]) -> str:
    """Of the figures that have one; nothing where none has."""
    lines = [
        [
            f"{workload.id}, {figure.name}",
            f"{number(figure.value)} {figure.unit}",
            f"{number(figure.floor)} {figure.unit}",
            "–" if figure.over_floor is None else f"{number(figure.over_floor)} ×",
            figure.floor_is or "",
        ]
        for workload in msgspec.convert(result["workloads"], list[Workload])
        for figure in workload.figures
        if figure.floor is not None
    ]
    if not lines:
        return ""
    return FLOOR + "\n" + table(["figure", "measured", "floor", "of the floor", "the floor is"], lines)


def compared(result: dict[str, Any]) -> str:
    text = f"### {result['peer']}\n\n"
    if "not_measured" in result:
        return text + f"Not measured: {' '.join(result['not_measured'].split())}\n"
    text += f"{result['at']}, {versions(result['versions'])}.  \n{machine(result['machine'])}.\n\n"
    ahead = ["ahead"]
    if any(one.get("ahead_strict") for one in result["rows"]):
        ahead.append("ahead_strict")
    lines = []
    for one in result["rows"]:
        mine, strict, its = (
            "–" if value is None else number(value)
            for value in (one["perfect"], one.get("perfect_strict"), one["peer"])
        )
        if one["peer"] is None and one["why"]:
            its = one["why"]
        line = [one["workload"], f"{one['label']}, {one['unit']}", mine, strict, its]
        line += [times(one[key]) if one.get(key) is not None else "–" for key in ahead]
        lines.append(line)
    heads = {"ahead": "Perfect is better by", "ahead_strict": "strict is better by"}
    header = ["", "workload", "Perfect", "strict", result["peer"], *(heads[key] for key in ahead)]
    text += table(header, lines)
    text += "\n"
    less = did_less(result)
    for note in [*result["notes"], *([f"did less: {', '.join(less)}"] if less else [])]:
        text += f"- {note}\n"
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--to", type=Path, default=PAGE, help="another page than docs/benchmarks.md")
    arguments = parser.parse_args()
    missing = [file for file in arguments.files if not file.is_file()]
    if missing:
        parser.error(f"{missing[0]}: there is no such file")
    results = [json.loads(file.read_text()) for file in arguments.files]
    owns, peers = ([one for one in results if key in one] for key in ("workloads", "peer"))
    parts = [HEAD, summary(peers)]
    for one in owns:
        parts += [own(one), floors(one)]
    if peers:
        intro = (
            "## Beside others\n\nMedians of the rounds of one call in which both sides took turns. "
            "More than 1 × = Perfect is ahead; ✗ = it is not.\n"
        )
        parts += ["\n\n".join([intro.rstrip(), *(compared(one).rstrip() for one in peers)]) + "\n"]
    parts += [SETTINGS, NOT_COMPARABLE]
    arguments.to.write_text("\n".join(filter(None, parts)))
    print(f"{arguments.to.name}: {len(results)} measurements")


if __name__ == "__main__":
    main()
