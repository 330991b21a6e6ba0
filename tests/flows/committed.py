"""A task of another worker whose own tasks have hooks. Each line of the trace says which process ran what."""

import os
from pathlib import Path

from perfect_sdk import flow, task
from perfect_sdk.transactions import transaction


def trace(path: str, what: str) -> None:
    with Path(path).open("a") as out:
        out.write(f"{os.getpid()} {what}\n")


@task
def inner(path: str, n: int) -> str:
    trace(path, f"inner-{n}")
    return path


@inner.on_commit
def kept(transaction) -> None:
    trace(transaction.get("path"), "commit-inner")


@inner.on_rollback
def undone(transaction) -> None:
    trace(transaction.get("path"), "rollback-inner")


@task(queue="gpu")
def outer(path: str, fails: bool) -> int:
    with transaction() as books:
        books.set("path", path)
        inner(path, 1)
        inner(path, 2)
        if fails:
            raise ValueError("not now")
    trace(path, "outer")
    return 2


@flow
def booked(path: str, fails: bool = False) -> int:
    return outer(path, fails)
