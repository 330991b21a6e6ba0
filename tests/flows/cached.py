"""Tasks whose results other runs take over, and transactions, under a worker that may be killed."""

import os
import signal
from datetime import timedelta
from pathlib import Path

from perfect_sdk import flow, task
from perfect_sdk.cache_policies import INPUTS, TASK_SOURCE
from perfect_sdk.transactions import Transaction, transaction


def note(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


def die_once(path: str) -> None:
    marker = Path(f"{path}.died")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


@task(cache_policy=INPUTS + TASK_SOURCE, cache_expiration=timedelta(hours=1), task_run_name="load {size}")
def load(path: str, size: int) -> str:
    note(path, f"load {size}")
    return "x" * size


@flow(name="cached", flow_run_name="{sizes} into a file")
def cached(path: str, sizes: list[int], dies: bool = False) -> list[int]:
    found = [len(load(path, size)) for size in sizes]
    if dies:
        die_once(path)
    return found


@task
def book(path: str, name: str) -> str:
    note(path, name)
    return name


@book.on_rollback
def cancel(txn: Transaction) -> None:
    note(txn.get("path"), "cancelled")


@book.on_commit
def confirm(txn: Transaction) -> None:
    note(txn.get("path"), "confirmed")
    die_once(txn.get("path"))


@flow(name="booked")
def booked(path: str, fails: bool) -> str:
    with transaction() as txn:
        txn.set("path", path)
        book(path, "flight")
        book(path, "hotel")
        if fails:
            die_once(path)
            raise ValueError("no car")
    with transaction(key=f"receipt {path}") as receipt:
        if not receipt.is_committed():
            receipt.stage("paid")
    return receipt.read().result
