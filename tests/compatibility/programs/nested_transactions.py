"""A transaction within another commits with it, and is rolled back with it."""

from prefect import flow, task
from prefect.transactions import transaction

said = []


@task
def step(name: str):
    said.append(name)


@step.on_rollback
def undo(txn):
    said.append("undo")


@step.on_commit
def confirm(txn):
    said.append("confirm")


@flow
def works():
    with transaction():
        with transaction():
            step("inner")
        said.append("between")
        step("outer")


@flow
def breaks():
    with transaction():
        with transaction():
            step("inner")
        raise ValueError


def check():
    works()
    assert said == ["inner", "between", "outer", "confirm", "confirm"]
    said.clear()
    assert breaks(return_state=True).is_failed()
    assert said == ["inner", "undo"]
