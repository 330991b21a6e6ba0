"""`map` runs a task for each item; `unmapped` and plain values go to each call as they are."""

from prefect import flow, task, unmapped


@task
def add_together(x, y):
    return x + y


@task
def sum_plus(values, static):
    return sum(values) + static


@task
def numbers():
    return [1, 2, 3]


@flow
def main():
    plain = add_together.map([1, 2, 3], 5).result()
    pairs = add_together.map([1, 2, 3], [10, 20, 30]).result()
    whole = sum_plus.map(unmapped([4, 5, 6]), [1, 2, 3]).result()
    of_future = add_together.map(numbers.submit(), unmapped(1)).result()
    of_futures = add_together.map(add_together.map([1, 2], 1), 1).result()
    states = add_together.map([1, 2], 1, return_state=True)
    return plain, pairs, whole, of_future, of_futures, [state.result() for state in states]


def check():
    assert main() == ([6, 7, 8], [11, 22, 33], [16, 17, 18], [2, 3, 4], [3, 4], [2, 3])
