"""`map` needs something to iterate over, and all of one length."""

from prefect import flow, task, unmapped
from prefect.exceptions import MappingLengthMismatch, MappingMissingIterable


@task
def add(x, y):
    return x + y


@flow
def different_lengths():
    add.map([1, 2, 3], [1, 2])


@flow
def nothing_to_iterate():
    add.map(unmapped(1), 2)


def check():
    for made, kind in (
        (different_lengths, MappingLengthMismatch),
        (nothing_to_iterate, MappingMissingIterable),
    ):
        error = made(return_state=True).result(raise_on_failure=False)
        assert isinstance(error, kind), error
