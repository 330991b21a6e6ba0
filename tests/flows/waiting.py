"""Flows that wait: for input, for a time, for other runs, for slots. Bodies leave a line in a file each time they run."""

import asyncio
import os
import time

from perfect_sdk import flow, pause_flow_run, run_deployment, sleep, task
from perfect_sdk.concurrency.asyncio import concurrency as concurrency_async
from perfect_sdk.concurrency.sync import concurrency
from perfect_sdk.exceptions import FlowPauseTimeout
from perfect_sdk.input import RunInput


def trace(path: str, text: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


class Approval(RunInput):
    approved: bool
    comment: str = ""


@task
def mark(path: str, text: str) -> str:
    trace(path, text)
    return text


@flow
def approved(path: str) -> str:
    mark(path, "before")
    approval = pause_flow_run(wait_for_input=Approval)
    assert isinstance(approval, Approval)
    mark(path, "between")
    again = pause_flow_run(wait_for_input=int)
    mark(path, "after")
    return f"{approval.approved} {approval.comment} {again}"


@flow
async def approved_async(path: str) -> str:
    mark(path, "before")
    approval = await pause_flow_run(wait_for_input=Approval)
    mark(path, "after")
    return f"{approval.approved} {approval.comment}"


@flow
def impatient(path: str) -> str:
    mark(path, "before")
    try:
        pause_flow_run(timeout=0.3)
    except FlowPauseTimeout:
        mark(path, "gave up")
        return "nobody came"
    return "somebody came"


@flow
def sleepy(path: str, seconds: float = 0.5, times: int = 2) -> int:
    for n in range(times):
        mark(path, f"before {n}")
        sleep(seconds)
    mark(path, "end")
    return times


@flow
async def side_by_side(path: str) -> list[str]:
    async def branch(n: int) -> str:
        mark(path, f"a{n}")
        await sleep(0.3 + n / 10)
        return mark(path, f"b{n}")

    return await asyncio.gather(*[branch(n) for n in range(3)])


@flow
def leaf(path: str, n: int) -> int:
    mark(path, f"leaf {n}")
    return n + 1


@flow
def middle(path: str, n: int) -> int:
    mark(path, "middle")
    return run_deployment("leaf", {"path": path, "n": n}).state.result() * 10


@flow
def top(path: str) -> int:
    mark(path, "top")
    got = run_deployment("middle", parameters={"path": path, "n": 4}).state.result()
    mark(path, "top again")
    return got


@flow
async def fan_out(path: str) -> list[int]:
    runs = await asyncio.gather(*[run_deployment("leaf", {"path": path, "n": n}) for n in range(3)])
    return [run.state.result() for run in runs]


@flow
def failing_leaf() -> None:
    raise ValueError("no luck")


@flow
def told_of_failure() -> str:
    child = run_deployment("failing-leaf")
    try:
        child.state.result()
    except ValueError as error:
        return f"{child.state.type.value} {error}"
    return "?"


@flow
def patient_for(path: str, seconds: float) -> str:
    return run_deployment("sleepy", {"path": path, "seconds": 30, "times": 1}, timeout=seconds).state.name


@flow
def inner_wait(path: str) -> int:
    mark(path, "inner before")
    sleep(0.3)
    given = pause_flow_run(wait_for_input=int)
    mark(path, "inner after")
    return given


@flow
def around_wait(path: str) -> int:
    mark(path, "outer before")
    got = inner_wait(path)
    mark(path, "outer after")
    return got + 1


@task
def hold(path: str, name: str, seconds: float) -> None:
    with concurrency(name):
        trace(path, "in")
        time.sleep(seconds)  # stands for work with what is limited
        trace(path, "out")


@flow
def limited(path: str, name: str = "database", seconds: float = 0.05, times: int = 3) -> None:
    for future in [hold.submit(path, name, seconds) for _ in range(times)]:
        future.result()


@flow
async def limited_async(path: str, name: str = "database", fails: bool = False) -> None:
    async def one() -> None:
        async with concurrency_async([name, "other"], timeout_seconds=20):
            trace(path, "in")
            await asyncio.sleep(0.02)
            trace(path, "out")
            if fails:
                raise ValueError("inside")

    await asyncio.gather(*[one() for _ in range(3)])
