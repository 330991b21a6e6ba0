"""`wait_for` makes a task wait for others whose results it does not use."""

import time

from prefect import flow, task

order = []


@task
def first():
    time.sleep(0.1)
    order.append("first")


@task
def second():
    order.append("second")


@flow
def main():
    before = first.submit()
    after = second.submit(wait_for=[before])
    after.wait()
    second(wait_for=[before])


def check():
    main()
    assert order == ["first", "second", "second"]
