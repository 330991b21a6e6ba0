"""`wait` gives what is done and what is not; `as_completed` gives futures in the order of their ends."""

import threading

from prefect import flow, task
from prefect.futures import as_completed, wait

go = threading.Event()


@task
def quick(n: int):
    return n


@task
def slow():
    assert go.wait(20)
    return "slow"


@flow
def main():
    late = slow.submit()
    early = quick.submit(1)
    early.wait()
    done, not_done = wait([early, late], timeout=0.1)
    assert (early in done, late in not_done) == (True, True)
    ends = []
    for future in as_completed([late, early]):
        ends.append(future.result())
        go.set()
    everything = wait([late, early])
    assert len(everything.done) == 2
    return ends


def check():
    assert main() == [1, "slow"]
