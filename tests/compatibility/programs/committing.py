"""A transaction that ends well commits: on_commit hooks run; values set in it are seen by its hooks."""

from prefect import flow, task
from prefect.transactions import transaction

said = []


@task
def write(name: str):
    said.append(f"write {name}")


@write.on_commit
def confirm(txn):
    said.append("confirm")


@write.on_rollback
def undo(txn):
    said.append(f"undo {txn.get('folder')}")


@flow
def works():
    with transaction() as txn:
        txn.set("folder", "/data")
        write("a")
        said.append("end of block")
    said.append("after")


@flow
def breaks():
    with transaction() as txn:
        txn.set("folder", "/data")
        write("b")
        raise RuntimeError


def check():
    works()
    assert said == ["write a", "end of block", "confirm", "after"]
    said.clear()
    assert breaks(return_state=True).is_failed()
    assert said == ["write b", "undo /data"]
