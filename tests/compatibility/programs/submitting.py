"""`submit` runs a task concurrently and gives a future: `result`, `wait`, `state`."""

import threading

from prefect import flow, task
from prefect.futures import PrefectFuture

meeting = threading.Barrier(3, timeout=20)


@task
def meets(n: int) -> int:
    meeting.wait()  # passes only when three are here at once
    return n


@flow
def main():
    futures = [meets.submit(n) for n in range(3)]
    assert all(isinstance(future, PrefectFuture) for future in futures)
    results = [future.result() for future in futures]
    assert all(future.state.is_completed() for future in futures)
    assert len({str(future.task_run_id) for future in futures}) == 3
    return results


def check():
    assert main() == [0, 1, 2]
