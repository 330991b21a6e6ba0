"""Flows with a lot to say."""

from perfect_sdk import flow, get_run_logger, task


@task(weight=2, estimated_time=10)
def square(n: int) -> int:
    return n * n


@task
def total(squares: list[int]) -> int:
    return sum(squares)


@flow(name="Squares", tags=["numbers"])
def squares(count: int = 10) -> int:
    """The sum of the first squares."""
    get_run_logger().info("squaring %d numbers", count)
    squared = square.map(list(range(count)))
    return total([one.result() for one in squared])


@flow(name="Talkative")
def talkative(lines: int) -> int:
    """Writes numbered lines to its log."""
    logger = get_run_logger()
    for n in range(lines):
        logger.info("line %d", n)
    return lines


@flow(name="Instant")
def instant(n: int = 0) -> int:
    return n
