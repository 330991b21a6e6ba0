"""A flow is a decorated function; calling it runs it and returns what it returned."""

from prefect import flow, task


@task
def square(n: int) -> int:
    return n * n


@flow
def total(numbers: list[int]) -> int:
    """Sum of squares."""
    return sum(square(n) for n in numbers)


def check():
    assert total([1, 2, 3]) == 14
    # The default name is the function's with dashes; a task keeps the function's name.
    assert total.name == "total"
    assert square.name == "square"
    # The description is the docstring; `.fn` is the function itself.
    assert total.description == "Sum of squares."
    assert square.fn(4) == 16
    # Tasks can be called outside of flows.
    assert square(5) == 25
