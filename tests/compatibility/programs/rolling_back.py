"""A transaction whose end is not reached rolls back the tasks that completed in it, the last one first."""

from prefect import flow, task
from prefect.transactions import transaction

said = []


@task
def write_file(name: str):
    said.append(f"write {name}")


@write_file.on_rollback
def delete_file(txn):
    said.append("delete")


@task
def notify():
    said.append("notify")


@notify.on_rollback
def take_back(txn):
    said.append("take back")


@task
def quality_test():
    said.append("test")
    raise ValueError("Not enough data!")


@flow
def pipeline():
    with transaction():
        write_file("a")
        notify()
        quality_test()


def check():
    state = pipeline(return_state=True)
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), ValueError)
    assert said == ["write a", "notify", "test", "take back", "delete"]
