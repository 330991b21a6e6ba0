"""`quote` hands a value over as it is, without looking for futures in it."""

from prefect import flow, task
from prefect.utilities.annotations import quote


@task
def size(rows):
    return len(rows)


@flow
def main():
    return size(quote(list(range(1000))))


def check():
    assert main() == 1000
