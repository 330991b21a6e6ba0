"""Tasks can be submitted and mapped without a flow around them."""

from prefect import task


@task(retries=2)
def double(n: int) -> int:
    return n * 2


def check():
    future = double.submit(2)
    assert future.result() == 4
    assert future.state.is_completed()
    assert double.map([1, 2]).result() == [2, 4]
    assert double(3, return_state=True).result() == 6
