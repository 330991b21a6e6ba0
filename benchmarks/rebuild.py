"""How fast `perfect rebuild` folds a log again: one JSON line. CPU of all of its processes, memory of each kind.

The log is made by the projector's own fold and file, from runs of five tasks with log lines, one a second.

    python benchmarks/rebuild.py [events]
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import shapes

from perfect_projector.batch import Message
from perfect_projector.duck import Duck
from perfect_projector.folding import fold
from perfect_projector.project import Projection
from perfect_projector.rebuild import rebuild
from perfect_schemas.envelope import utc_now

BATCH = 10_000
EVENTS_A_RUN = shapes.RUN_EVENTS + 2 * 5


def messages(runs: int) -> Iterator[Message]:
    begin = utc_now() - timedelta(seconds=runs)
    seqs = dict.fromkeys(("DEFS", "EVENTS", "LOGS"), 0)

    def one(said: Iterator[shapes.Said], stored_ns: int) -> Iterator[Message]:
        for subject, data, _ in shapes.encoded(said):
            logged = subject.startswith("perfect.log.")
            stream = "LOGS" if logged else "DEFS" if subject.startswith("perfect.evt.flow.") else "EVENTS"
            seqs[stream] += 1
            yield Message(stream, seqs[stream], subject, data, stored_ns)

    yield from one(shapes.definitions(begin), int(begin.timestamp() * 1e9))
    for number in range(runs):
        at = begin + timedelta(seconds=number)
        yield from one(shapes.run(number, at), int(at.timestamp() * 1e9))


def fill(file: Path, runs: int) -> None:
    duck = Duck(file)
    duck.behind(behind=True)
    projection, loader = Projection(), duck.loader()
    source = messages(runs)
    while batch := list(islice(source, BATCH)):
        duck.write(fold(projection, duck, loader, batch).batch)
    duck.close()


def cpu_s() -> float:
    """Of this process and of those that it has started and that are over."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))


def main(events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "perfect.duckdb"
        begin = time.perf_counter()
        fill(file, events // EVENTS_A_RUN)
        filled_s = time.perf_counter() - begin
        before_s = cpu_s()
        outcome = rebuild(file, Path(folder) / "rebuilt.duckdb")
        used_s = cpu_s() - before_s
        print(
            json.dumps(
                {
                    "events": outcome.events,
                    "fill_s": round(filled_s, 1),
                    "fold_s": round(outcome.fold_s, 1),
                    "events_per_s": round(outcome.events / outcome.fold_s),
                    "compare_s": round(outcome.compare_s, 1),
                    "equal": outcome.is_equal,
                    "differences": outcome.differences,
                    "file_mb": round(file.stat().st_size / 2**20),
                    "cpu_us_an_event": round(used_s / outcome.events * 1e6, 1),
                    "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                    "rss_mb_of_others": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
                }
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
