"""Perfect and its peers on the same work in the same call: Perfect, peer, Perfect, peer, so that the ratio holds on a
machine that is not quiet. Medians and ratios. W1 to W4 are done by a Perfect with strict durability, too.

    python benchmarks/compare.py [prefect | prefect-batches | dbos | dbos-postgres | restate]… [--only W1 W4] [--tasks 1000]

What a peer does not have, or does not do within a minute, is said and left out; a peer that cannot be installed does not
stop the others.
"""

import argparse
import contextlib
import http.client
import json
import signal
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine
from arguments import whole
from figures import number
from peers.dbos import Dbos, DbosOnPostgres
from peers.perfect import Perfect
from peers.prefect import Prefect, PrefectInBatches
from peers.restate import Restate
from peers.side import FIGURES, WORKLOADS, NotDone, NotInstalled, Side

PEERS: dict[str, type[Any]] = {
    "prefect": Prefect,
    "prefect-batches": PrefectInBatches,
    "dbos": Dbos,
    "dbos-postgres": DbosOnPostgres,
    "restate": Restate,
}
SIZES = {
    "sequential": 1000,
    "many_runs": 200,
    "first_line": 50,
    "fan_out": 1000,
    "log_lines": 10_000,
    "kill": 100,
    "run_list": 200,
}
IDS = {
    "sequential": "W1",
    "many_runs": "W2",
    "first_line": "W3",
    "fan_out": "W4",
    "log_lines": "W6",
    "kill": "W7",
    "run_list": "W8",
}
LEAST = {"kill": 50}
WITH_STRICT = ("W1", "W2", "W3", "W4")
ROUNDS = 2
Each = dict[str, list[float]]


class Measured:
    """each: figure → what each round gave. said: workload → why there is no figure."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.each: Each = {}
        self.said: dict[str, str] = {}

    def add(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.each.setdefault(name, []).append(round(value, 4))

    def run(self, workload: str, sizes: dict[str, int]) -> None:
        if IDS[workload] in self.said:
            return
        count = min(self.side.sizes.get(workload, sizes[workload]), sizes[workload])
        try:
            self.add(getattr(self.side, workload)(count))
        except (NotDone, OSError, http.client.HTTPException) as error:
            self.said[IDS[workload]] = str(error)

    def median(self, name: str) -> float | None:
        return statistics.median(self.each[name]) if self.each.get(name) else None


def compare(peer: Side, sizes: dict[str, int], only: list[str], rounds: int) -> dict[str, Any]:
    versions = peer.install()
    ours, theirs, strict = Measured(Perfect()), Measured(peer), Measured(Perfect("strict"))
    versions |= ours.side.install()
    sides = (ours, theirs)
    with contextlib.ExitStack() as ending:

        def start(one: Measured) -> dict[str, float]:
            folder = tempfile.TemporaryDirectory(prefix="perfect-compare-", ignore_cleanup_errors=True)
            ending.callback(one.side.stop)
            return one.side.start(Path(ending.enter_context(folder)))

        for _ in range(rounds if "W5" in only else 0):
            for one in (
                sides
            ):  # each alone: processes that share their Python's pages would halve each other's memory
                print(f"  W5 {one.side.title}", file=sys.stderr, flush=True)
                one.add(start(one) | one.side.rest())
                one.side.stop()
        if set(only) - {"W5"}:
            for one in (ours, strict, theirs) if set(only) & set(WITH_STRICT) else sides:
                start(one)
                one.side.warm()
        for workload in WORKLOADS:
            if (id_ := IDS[workload]) in only:
                for _ in range(rounds):
                    for one in (ours, strict, theirs) if id_ in WITH_STRICT else sides:
                        print(f"  {id_} {one.side.title}", file=sys.stderr, flush=True)
                        one.run(workload, sizes)
    return {
        "peer": peer.title,
        "versions": versions,
        "is_synced": peer.is_synced,
        "notes": peer.notes,
        "sizes": {name: sizes[name] for name in sizes},
        "peer_sizes": peer.sizes,
        "rows": rows(ours, strict, theirs, only, sizes),
    }


def rows(
    ours: Measured, strict: Measured, theirs: Measured, only: list[str], sizes: dict[str, int]
) -> list[dict[str, Any]]:
    """One a figure of the peer's or of both; `ahead` is how many times better Perfect is, at its default durability, and
    `ahead_strict` with strict durability, where the peer syncs, too.
    """
    found = []
    for name, kind in FIGURES.items():
        my = kind.beside if kind.beside and theirs.median(name) is not None else name
        mine, its = ours.median(my), theirs.median(name)
        synced = strict.median(my) if kind.workload in WITH_STRICT else None
        why = theirs.said.get(kind.workload)
        if kind.workload not in only or (its is None and (mine is None or why is None)):
            continue
        found.append(
            {
                "figure": name,
                "workload": kind.workload,
                "label": kind.label.format(**{name: f"{size:,}" for name, size in sizes.items()}),
                "unit": kind.unit,
                "perfect": mine,
                "perfect_each": ours.each.get(my, []),
                "perfect_strict": synced,
                "peer": its,
                "peer_each": theirs.each.get(name, []),
                "ahead": times_better(mine, its, kind.is_more_better),
                "ahead_strict": times_better(synced, its, kind.is_more_better)
                if theirs.side.is_synced
                else None,
                "why": why if its is None else None,
            }
        )
    return found


def times_better(mine: float | None, its: float | None, is_more_better: bool) -> float | None:
    """None where one of them has no figure, or nothing to divide by."""
    if mine is None or its is None:
        return None
    over, under = (mine, its) if is_more_better else (its, mine)
    return over / under if under else None


def say(result: dict[str, Any]) -> None:
    print(json.dumps(result))
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    print(f"Perfect and {result['peer']} ({versions}):")
    for row in result["rows"]:
        mine, strict, its = (
            number(value) if value is not None else "–"
            for value in (row["perfect"], row["perfect_strict"], row["peer"])
        )
        ahead = f"{number(row['ahead'])} ×" if row["ahead"] is not None else row["why"] or ""
        print(
            f"  {row['workload']} {row['label']}: Perfect {mine} (strict {strict}), "
            f"{result['peer']} {its} {row['unit']}  {ahead}"
        )


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"{', '.join(PEERS)} (default: all)")
    parser.add_argument("--only", nargs="+", default=[f"W{n}" for n in range(1, 9)], metavar="W1")
    parser.add_argument(
        "--divide", type=whole, default=1, metavar="N", help="do an N-th of the work, to try it out"
    )
    parser.add_argument("--rounds", type=whole, default=ROUNDS)
    parser.add_argument("--out", type=Path, help="folder for the results, a file a peer")
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"{', '.join(unknown)}: no such peer; there are {', '.join(PEERS)}")
    sizes = {name: max(size // arguments.divide, LEAST.get(name, 8)) for name, size in SIZES.items()}
    for name in arguments.peers or PEERS:
        only = arguments.only
        if name == "prefect-batches":  # the others do not depend on its settings
            only = [one for one in only if one <= "W5"]
        begin = datetime.now(UTC)
        try:
            result = compare(PEERS[name](), sizes, only, arguments.rounds)
        except (NotInstalled, NotDone, OSError) as error:
            result = {"peer": PEERS[name].title, "not_measured": str(error), "rows": []}
            print(f"{PEERS[name].title} was not measured: {error}")
        else:
            say(result)
        result |= {
            "at": begin.isoformat(timespec="seconds"),
            "machine": machine.described(Path(tempfile.gettempdir())),
        }
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
