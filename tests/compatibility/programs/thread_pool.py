"""`ThreadPoolTaskRunner(max_workers=…)`: at most so many submitted tasks at once."""

import threading
import time

from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

lock = threading.Lock()
now, most = [0], [0]


@task
def process(x):
    with lock:
        now[0] += 1
        most[0] = max(most[0], now[0])
    time.sleep(0.05)
    with lock:
        now[0] -= 1
    return x


@flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
def main():
    return process.map(range(9)).result()


def check():
    assert main() == list(range(9))
    assert most[0] == 3
