"""Variables: named values; setting one again needs `overwrite`."""

import asyncio

from prefect import flow, task
from prefect.variables import Variable


@flow
def main():
    Variable.unset("compat_answer")
    Variable.set("compat_answer", 42)
    for value in (42, 43):  # the same value is refused, too
        try:
            Variable.set("compat_answer", value)
        except ValueError:
            continue
        raise AssertionError("it was overwritten")
    Variable.set("compat_answer", {"a": [1, 2]}, overwrite=True, tags=["one"])
    return (
        Variable.get("compat_answer"),
        Variable.get("compat_nothing", default="none"),
        Variable.get("compat_nothing"),
    )


@flow
async def main_async():
    value = await Variable.aget("compat_answer")
    removed = await Variable.aunset("compat_answer")
    return value, removed, await Variable.aget("compat_answer", default=0)


@task
def read():
    return Variable.get("compat_answer")


def check():
    assert main() == ({"a": [1, 2]}, "none", None)
    assert read() == {"a": [1, 2]}  # a task outside of a flow
    assert asyncio.run(main_async()) == ({"a": [1, 2]}, True, 0)
