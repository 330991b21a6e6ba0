"""Futures given to tasks are waited for and replaced by their results, within lists and dictionaries, too."""

from prefect import flow, task


@task
def one():
    return 1


@task
def add(x, y):
    return x + y


@task
def total(numbers: list, named: dict):
    return sum(numbers) + sum(named.values())


@flow
def main():
    first = one.submit()
    second = add.submit(first, 1)
    third = add(second, first)  # a direct call resolves them, too
    return [total.submit([first, second, 10], {"a": second}).result(), third]


def check():
    assert main() == [15, 3]
