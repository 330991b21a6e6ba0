"""`@task(retries=…)`: a task that raises is run again, at most that often."""

from prefect import flow, task
from prefect.runtime import task_run

tries = []
run_counts = []


@task(retries=2, retry_delay_seconds=[0, 0.05])
def flaky(works_on: int):
    tries.append(works_on)
    run_counts.append(task_run.run_count)
    if len(tries) < works_on:
        raise ValueError(f"try {len(tries)}")
    return len(tries)


@flow
def main(works_on: int):
    return flaky(works_on)


def check():
    state = main(3, return_state=True)
    assert state.is_completed()
    assert (tries, run_counts) == ([3, 3, 3], [1, 2, 3])
    tries.clear()
    # Once they are used up, the task fails with its last exception.
    state = main(9, return_state=True)
    assert state.is_failed()
    assert len(tries) == 3
    error = state.result(raise_on_failure=False)
    assert isinstance(error, ValueError)
    assert str(error) == "try 3"
