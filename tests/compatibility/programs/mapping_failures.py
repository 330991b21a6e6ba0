"""Some of what is mapped fails: the others are done; states tell; a failed input keeps only its own from running."""

from prefect import allow_failure, flow, task

ran = []


@task
def invert(n: int) -> float:
    return 1 / n


@task
def after(x):
    ran.append(x)
    return "ran"


@task
def count(results):
    return sum(not isinstance(one, Exception) for one in results)


@flow
def main():
    inverted = invert.map([1, 0, 2])
    inverted.wait()
    states = [future.state.is_completed() for future in inverted]
    downstream = after.map(inverted)
    downstream.wait()
    done = [future.state.is_completed() for future in downstream]
    values = inverted.result(raise_on_failure=False)
    counted = count(allow_failure(inverted))
    return states, done, isinstance(values[1], ZeroDivisionError), counted


def check():
    assert main() == ([True, False, True], [True, False, True], True, 2)
    assert sorted(ran) == [0.5, 1.0]
