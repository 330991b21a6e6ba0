"""A State that a flow or task returns is its final state."""

from prefect import flow, task
from prefect.exceptions import FailedRun
from prefect.states import Completed, Failed


@task
def always_fails():
    raise ValueError("this task fails")


@task
def always_succeeds():
    return "foo"


@flow
def completes_all_the_same():
    always_fails.submit().result(raise_on_failure=False)
    if always_succeeds() == "foo":
        return Completed(message="I am happy with this result")
    return Failed(message="How did this happen!?")


@flow
def says_it_failed():
    return Failed(message="How did this happen!?")


@task
def with_data(n: int):
    return Completed(message="odd" if n % 2 else "even", data=n)


@task
def skipped():
    return Completed(message="nothing to do", name="Skipped")


@flow
def passes_data():
    return [
        with_data.submit(3).result(),
        with_data(4, return_state=True).message,
        skipped(return_state=True).name,
    ]


def check():
    state = completes_all_the_same(return_state=True)
    assert state.is_completed()
    assert state.message == "I am happy with this result"
    state = says_it_failed(return_state=True)
    assert (state.is_failed(), state.message) == (True, "How did this happen!?")
    try:
        says_it_failed()
    except FailedRun as error:
        assert "How did this happen!?" in str(error)
    else:
        raise AssertionError("nothing was raised")
    assert passes_data() == [3, "even", "Skipped"]
