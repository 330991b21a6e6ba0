"""What type checkers see of flows and tasks: signatures and results are those of the functions, wrong calls are errors.

Checked by mypy --strict and by pyright (`test_types.py`), never run. A line that ends with `type: ignore` holds a
mistake: both checkers complain of it, or else of an ignore that nothing needs.
"""

import asyncio
from collections.abc import Callable
from typing import assert_type

from perfect_sdk import (
    Flow,
    PerfectFuture,
    PerfectFutureList,
    State,
    Task,
    allow_failure,
    flow,
    task,
    unmapped,
)
from perfect_sdk.futures import as_completed, wait
from perfect_sdk.states import Completed


@task
def double(n: int) -> int:
    return n * 2


@task(retries=3, retry_delay_seconds=[1, 10, 60], name="shout", tags=["loud"], weight=2)
def shout(text: str, *, times: int = 1) -> str:
    return text.upper() * times


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@flow
def etl(day: str, limit: int = 10) -> list[int]:
    return [double(n) for n in range(limit)]


@flow(name="Async ETL", log_prints=True, retries=1, timeout_seconds=60)
async def async_etl(url: str) -> bytes:
    assert_type(await fetch(url), bytes)
    got = await asyncio.gather(fetch(url), fetch(url))
    assert_type(got, tuple[bytes, bytes])
    return got[0]


def calls() -> None:
    assert_type(double(1), int)
    assert_type(shout("a", times=2), str)
    assert_type(etl("today"), list[int])
    assert_type(double.fn(2), int)


async def async_calls() -> None:
    assert_type(await fetch("a"), bytes)
    assert_type(await async_etl("a"), bytes)


def submitted() -> None:
    future = double.submit(1)
    assert_type(future, PerfectFuture[int])
    assert_type(future.result(), int)
    assert_type(future.state, State[int])
    assert_type(fetch.submit("a"), PerfectFuture[bytes])
    assert_type(fetch.submit("a").result(), bytes)
    assert_type(double.map([1, 2]), PerfectFutureList[int])
    assert_type(double.map([1, 2]).result(), list[int])
    assert_type(fetch.map(["a"]).result(), list[bytes])
    assert_type(double.submit(1, return_state=True), State[int])
    assert_type([each.result() for each in as_completed([future])], list[int])
    wait([future])


async def awaited_futures() -> None:
    assert_type(await double.submit(1), int)
    assert_type(await double.map([1]), list[int])


def inputs_that_are_futures() -> None:
    double.submit(double.submit(1))
    double.submit(1, wait_for=[double.submit(2)])
    double.submit(allow_failure(double.submit(1)))
    double.map(unmapped(1))
    double(double.submit(3).result())


def options() -> None:
    assert_type(double.with_options(retries=2)(1), int)
    assert_type(etl.with_options(name="other")("today"), list[int])
    etl.serve(name="nightly", cron="0 0 * * *")


def states() -> None:
    state = double(1, return_state=True)
    assert_type(state, State[int])
    assert_type(state.result(), int)
    assert_type(etl("today", return_state=True).result(), list[int])
    assert_type(double(1, wait_for=[double.submit(2)]), int)
    Completed(message="fine")


async def async_states() -> None:
    assert_type(await fetch("a", return_state=True), State[bytes])
    assert_type(await async_etl("a", return_state=True), State[bytes])


class Processor:
    @task
    def shift(self, n: int) -> int:
        return n + 1

    @flow
    def run(self, n: int) -> str:
        return str(self.shift(n))


def methods() -> None:
    assert_type(Processor().shift(1), int)
    assert_type(Processor().shift.submit(1).result(), int)
    assert_type(Processor().run(1), str)


def flows_and_tasks_are_values(one: Flow[[str], int], other: Task[[int], str]) -> None:
    assert_type(one("a"), int)
    assert_type(other(1), str)
    decorated: Callable[[int], int] = double
    decorated(1)


def mistakes() -> None:
    double("one")  # type: ignore[call-overload]
    double()  # type: ignore[call-overload]
    double(1, m=2)  # type: ignore[call-overload]
    etl(7)  # type: ignore[call-overload]
    wrong: str = double(1)  # type: ignore[assignment]
    later: PerfectFuture[str] = double.submit(1)  # type: ignore[assignment]
    double.submit(1).results()  # type: ignore[attr-defined]
    Processor().shift("one")  # type: ignore[call-overload]
    flow(retries=1, nmae="x")  # type: ignore[call-overload]
    print(wrong, later)
