"""Transactions in async flows, with async hooks."""

import asyncio

from prefect import flow, task
from prefect.transactions import transaction

said = []


@task
async def write(name: str):
    said.append(f"write {name}")


@write.on_rollback
def remove(txn):
    said.append("remove")


@flow
async def main():
    with transaction():
        await write("a")
        raise KeyError("x")


def check():
    assert asyncio.run(main(return_state=True)).is_failed()
    assert said == ["write a", "remove"]
