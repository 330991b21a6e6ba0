"""Tasks and flows may be generators: each item is handed on as it comes."""

from prefect import flow, task


@task
def numbers(n: int):
    yield from range(n)


@flow
def main(n: int):
    for number in numbers(n):
        yield number * 2


def check():
    assert list(main(3)) == [0, 2, 4]
