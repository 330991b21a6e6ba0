"""`rate_limit(name)`: so many a second, as slots decay."""

import time

from prefect import flow, task
from prefect.concurrency.sync import rate_limit

NEEDS = "system"
RATES = {"compat-api": (1, 4.0)}


@task
def call():
    rate_limit("compat-api", occupy=1)


@flow
def main():
    for _ in range(4):
        call()


def check():
    begin = time.monotonic()
    main()
    # One slot, which comes back after a quarter of a second: the second, third and fourth call wait.
    assert time.monotonic() - begin >= 0.6
