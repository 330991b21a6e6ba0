"""A flow whose tasks do nothing, one after another: what is left is what Perfect takes."""

from perfect_sdk import flow, task


@task
def nothing(n: int) -> int:
    return n


@flow(name="plain")
def plain(count: int) -> int:
    return sum(nothing(n) for n in range(count))
