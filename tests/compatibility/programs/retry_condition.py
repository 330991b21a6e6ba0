"""`retry_condition_fn(task, task_run, state)` decides whether a failure is worth another try."""

from prefect import flow, task

tries = []


def only_value_errors(task, task_run, state):
    try:
        state.result()
    except ValueError:
        return True
    except KeyError:
        return False


@task(retries=4, retry_condition_fn=only_value_errors)
def picky():
    tries.append(1)
    raise ValueError("again") if len(tries) < 3 else KeyError("never")


@flow
def main():
    picky()


def check():
    state = main(return_state=True)
    assert state.is_failed()
    assert len(tries) == 3
    assert isinstance(state.result(raise_on_failure=False), KeyError)
