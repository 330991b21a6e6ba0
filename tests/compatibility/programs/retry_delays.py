"""The delays before retries: a list, or a function of the number of retries like `exponential_backoff`."""

import time

from prefect import flow, task
from prefect.tasks import exponential_backoff

begun = []


@task(retries=2, retry_delay_seconds=exponential_backoff(backoff_factor=0.1))
def backs_off():
    begun.append(time.monotonic())
    raise OSError


@flow
def main():
    backs_off(return_state=True)
    return "after"


def check():
    assert exponential_backoff(10)(4) == [10, 20, 40, 80]
    assert main() == "after"
    first, second, third = begun
    assert second - first >= 0.1
    assert third - second >= 0.2
