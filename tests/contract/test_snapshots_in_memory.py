"""A reader beside the writer is answered from memory as its own snapshot of the file says."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from in_memory import ACTIVE, FLOWS, TASKS, World

from perfect_schemas import events as e
from perfect_schemas import queries


@contextmanager
def as_of_now(reader: Any) -> Iterator[None]:
    reader.execute("BEGIN TRANSACTION READ ONLY")
    try:
        reader.execute("SELECT seq FROM consumer_offsets").fetchall()  # it reads what is there from here on
        yield
    finally:
        reader.execute("ROLLBACK")


def test_a_reader_sees_its_own_snapshot_whatever_is_committed_beside_it(tmp_path: Path) -> None:
    """What the front was told is newer than a transaction that was open before, and older than one that began between
    the commit and the telling.
    """
    world = World(tmp_path)
    query = queries.RunPage(limit=20)
    ready, done = threading.Barrier(2, timeout=20), threading.Barrier(2, timeout=20)

    def read(steps: int) -> None:
        reader = world.duck.reader()
        for _ in range(steps):
            with as_of_now(reader):
                ready.wait()  # the writer writes, or tells, meanwhile
                done.wait()
                world.check_page(reader, query)
                world.check_page(reader, query)
        reader.close()

    try:
        runs = [world.begin(FLOWS[n % 2], ["a"], "release") for n in range(4)]
        for run_id in runs:
            world.start(run_id)
        world.commit()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read, 8)
            for n in range(4):
                ready.wait()  # a snapshot is open: commit, and tell
                world.task(runs[n], 0, 10)
                world.commit()
                done.wait()
                world.task(runs[n], 1, 10)
                world.end(runs[n], e.RunCompleted, 50)
                draft = world.write()  # a snapshot after the commit, before anybody is told
                ready.wait()
                done.wait()
                assert draft is not None
                world.front.note(draft)
            reading.result(timeout=20)
        world.check()
    finally:
        world.close()


def test_readers_beside_a_writer_say_what_their_snapshots_say(tmp_path: Path) -> None:
    world = World(tmp_path)
    stop = threading.Event()

    def read() -> int:
        reader, pages = world.duck.reader(), 0
        while not stop.is_set() or pages == 0:
            for query in (queries.RunPage(limit=9), queries.RunPage(state=ACTIVE), queries.RunPage(text="A")):
                with as_of_now(reader):
                    world.check_page(reader, query)
                pages += 1
        reader.close()
        return pages

    try:
        with ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(read) for _ in range(2)]
            try:
                runs: list[str] = []
                for n in range(60):
                    runs.append(world.begin(FLOWS[n % 2], ["a"] if n % 3 else ["b"], "release"))
                    world.start(runs[-1])
                    world.task(runs[max(n - 1, 0)], n % TASKS, 10)
                    if n > 2:
                        world.end(runs[n - 2], e.RunFailed if n % 5 == 0 else e.RunCompleted, 70)
                    world.commit()
            finally:
                stop.set()
            assert all(one.result(timeout=20) > 0 for one in reading)
        world.check()
    finally:
        world.close()
