"""Tasks may call and submit tasks."""

from prefect import flow, task


@task
def leaf(n: int) -> int:
    return n + 1


@task
def branch(n: int) -> int:
    return leaf(n) + leaf.submit(n).result()


@flow
def main():
    return branch(1) + branch.submit(2).result()


def check():
    assert main() == 10
