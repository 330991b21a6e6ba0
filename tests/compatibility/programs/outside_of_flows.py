"""Outside of flows a task can be called; it can be submitted within flows only."""

from prefect import task


@task
def double(n: int) -> int:
    return n * 2


@task
def fails():
    raise KeyError("x")


def check():
    assert double(2) == 4
    assert double(3, return_state=True).result() == 6
    assert fails(return_state=True).is_failed()
    try:
        double.submit(2)
    except RuntimeError:
        pass
    else:
        raise AssertionError("there is nobody to submit it to")
