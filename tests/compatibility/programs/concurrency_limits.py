"""`concurrency(name)`: at most so many hold the name at once, whatever runs them."""

import threading
import time

from prefect import flow, task
from prefect.concurrency.sync import concurrency

NEEDS = "system"
LIMITS = {"compat-database": 2}
lock = threading.Lock()
now, most = [0], [0]


@task
def process(x):
    with concurrency("compat-database", occupy=1):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
    return x


@flow
def main():
    return process.map(range(8)).result()


def check():
    assert main() == list(range(8))
    assert most[0] == 2
