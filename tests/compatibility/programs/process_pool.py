"""`ProcessPoolTaskRunner`: submitted tasks run in other processes."""

import os

from prefect import flow, task
from prefect.task_runners import ProcessPoolTaskRunner

AS_SCRIPT = True


@task
def where(x):
    return x, os.getpid()


@flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
def main():
    return where.map([1, 2, 3]).result()


def check():
    results = main()
    assert [x for x, _ in results] == [1, 2, 3]
    assert os.getpid() not in {pid for _, pid in results}


if __name__ == "__main__":
    check()
