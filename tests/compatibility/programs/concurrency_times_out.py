"""`timeout_seconds`: whoever gets no slot in time gets an error that is a TimeoutError."""

import threading

from prefect import flow, task
from prefect.concurrency.sync import concurrency

NEEDS = "system"
LIMITS = {"compat-one": 1}
inside, tried = threading.Event(), threading.Event()


@task
def holds():
    with concurrency("compat-one"):
        inside.set()
        assert tried.wait(30)


@task
def waits():
    assert inside.wait(30)
    try:
        with concurrency("compat-one", timeout_seconds=1):
            return "got in"
    except TimeoutError:
        return "timed out"
    finally:
        tried.set()


@flow
def main():
    holding = holds.submit()
    answer = waits.submit().result()
    holding.wait()
    return answer


def check():
    assert main() == "timed out"
