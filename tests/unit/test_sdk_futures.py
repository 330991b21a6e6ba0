"""Submitted calls."""

import asyncio
import threading

import pytest

from perfect_schemas import events as e
from perfect_sdk import ThreadPoolTaskRunner, allow_failure, as_completed, flow, quote, task, unmapped, wait
from perfect_sdk.exceptions import (
    MappingLengthMismatch,
    MappingMissingIterable,
    MissingContextError,
    NotSupported,
    UpstreamTaskError,
)
from perfect_sdk.testing import resume, run_flow, run_flow_async


@task
def add(a: int, b: int = 0) -> int:
    return a + b


@task
def bad() -> int:
    raise ValueError("bad")


@task
async def async_add(a: int, b: int = 0) -> int:
    await asyncio.sleep(0)
    return a + b


def test_futures_among_arguments_are_replaced_by_their_results():
    @task
    def total(parts: list[int], named: dict[str, int]) -> int:
        return sum(parts) + sum(named.values())

    @flow
    def main() -> int:
        one, two = add.submit(1), async_add.submit(2)
        later = total.submit([one, two, 3], named={"x": one})
        return later.result() + add(one, two)

    result = run_flow(main)
    assert result.result == 10
    assert [task.key for task in result.tasks if task.name == "add"] == ["add-0", "add-1"]


def test_a_failed_input_keeps_a_task_from_running_unless_it_is_allowed():
    @task
    def takes(value: object) -> str:
        return type(value).__name__

    @flow
    def main() -> str:
        failed = bad.submit()
        after = takes.submit(failed)
        with pytest.raises(UpstreamTaskError, match="'bad-0', failed: ValueError: bad"):
            after.result()
        with pytest.raises(UpstreamTaskError):
            add(1, wait_for=[failed])
        assert isinstance(failed.result(raise_on_failure=False), ValueError)
        assert failed.state.is_failed()
        assert quote(failed).unwrap() is failed
        return takes(allow_failure(failed))

    first = run_flow(main)
    assert first.result == "ValueError"
    skipped = [event for event in first.events if isinstance(event, e.TaskSkipped)]
    assert [event.task_key for event in skipped] == ["takes-0", "add-0"]
    for n in range(2, len(first.events)):
        assert resume(main, first.events[:n]).result == "ValueError"


def test_map():
    @flow
    def main() -> list[int]:
        base = add.submit(100)
        assert add.map([1, 2, 3], unmapped(10)).result() == [11, 12, 13]
        assert add.map([1, 2], b=(5, 6)).result() == [6, 8]
        assert add.map(range(2), 7).result() == [7, 8]
        assert async_add.map([1, 2], unmapped(base)).result() == [101, 102]
        chained = add.map(add.map([1, 2]), 1)
        with pytest.raises(MappingLengthMismatch, match=r"\[1, 2\]"):
            add.map([1], [1, 2])
        with pytest.raises(MappingMissingIterable, match="nothing to iterate"):
            add.map(1, 2)
        assert add.map([]).result() == []
        return chained.result()

    assert run_flow(main).result == [2, 3]


def test_as_completed_and_wait():
    gate = threading.Event()

    @task
    def slow() -> str:
        gate.wait(60)
        return "slow"

    @task
    def quick() -> str:
        return "quick"

    @flow
    def main() -> list[str]:
        gate.clear()
        futures = [slow.submit(), quick.submit()]
        order = []
        for future in as_completed(futures):
            order.append(future.result())
            gate.set()
        done, not_done = wait(futures)
        assert (len(done), len(not_done)) == (2, 0)
        return order

    first = run_flow(main)
    assert first.result == ["quick", "slow"]
    again = resume(main, first.events[:-1])  # as it was, not as it would be now
    assert again.result == ["quick", "slow"]


def test_timeouts_of_waiting():
    gate = threading.Event()

    @task
    def slow() -> None:
        gate.wait(60)

    @flow
    def main() -> None:
        future = slow.submit()
        with pytest.raises(TimeoutError, match=r"'slow-0' was not done after 0\.01 s"):
            future.result(timeout=0.01)
        assert wait([future], timeout=0).not_done == {future}
        assert not future.state.is_final()
        gate.set()
        future.wait()

    assert run_flow(main).state == "COMPLETED"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_small_pool_does_not_stand_still_when_tasks_wait_for_tasks(workers):
    @task
    def tree(depth: int) -> int:
        if depth == 0:
            return 1
        return sum(future.result() for future in [tree.submit(depth - 1), tree.submit(depth - 1)])

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=workers))
    def main() -> int:
        return tree.submit(5).result()

    result = run_flow(main)
    assert result.result == 32
    assert result.tasks[0].key == "tree-0"


def test_max_workers_bounds_what_runs_at_a_time():
    running, most = [0], [0]
    lock = threading.Lock()

    @task
    def step() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.002)
        with lock:
            running[0] -= 1

    @task
    async def async_step() -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await asyncio.sleep(0.001)
        running[0] -= 1

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=3))
    def main(kind: str) -> None:
        wait([{"sync": step, "async": async_step}[kind].submit() for _ in range(20)])

    for kind in ("sync", "async"):
        most[0] = 0
        assert run_flow(main, {"kind": kind}).state == "COMPLETED"
        assert most[0] == 3


async def test_in_an_async_flow():
    @task
    async def where() -> int:
        return id(asyncio.get_running_loop())

    @flow
    async def main() -> list[object]:
        here = id(asyncio.get_running_loop())
        future = where.submit()
        with pytest.raises(NotSupported, match="await future"):
            future.result()
        assert await future == here
        assert await where() == here
        values = await async_add.map([1, 2, 3], 1)
        assert values == [2, 3, 4]
        sync = add.submit(5)
        order = [each async for each in as_completed([async_add.submit(9), sync])]
        failing = bad.submit()
        with pytest.raises(ValueError, match="bad"):
            await failing
        return sorted([await each for each in order])

    result = await run_flow_async(main)
    assert result.result == [5, 9]


def test_the_flow_waits_for_what_it_submitted():
    @flow
    def main() -> int:
        for i in range(5):
            add.submit(i)
            async_add.submit(i)
        bad.submit()
        return 1

    result = run_flow(main)
    assert result.result == 1
    states = [task.state.value for task in result.tasks]
    assert states.count("COMPLETED") == 10
    assert states.count("FAILED") == 1


def test_outside_of_a_flow():
    with pytest.raises(MissingContextError, match=r"submit\(\) needs a running flow"):
        add.submit(1)
    with pytest.raises(NotSupported, match="max_workers"):
        ThreadPoolTaskRunner(0)
    with pytest.raises(NotSupported, match="start workers for it"):
        flow(task_runner=object())(lambda: None)


def test_callbacks():
    called = []

    @flow
    def main() -> None:
        future = add.submit(1)
        future.add_done_callback(lambda done: called.append(done.result()))
        future.wait()
        assert future.task_run_id
        assert "add-0" in repr(future)

    assert run_flow(main).state == "COMPLETED"
    assert called == [1]


def test_a_call_that_waits_for_others_takes_none_of_the_threads():
    opened = threading.Event()

    @task
    def gate() -> bool:
        return opened.wait(30)

    @task
    def open_gate() -> None:
        opened.set()

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    def main() -> bool:
        first = gate.submit()
        after = [add.submit(n, wait_for=[first]) for n in range(3)]
        open_gate.submit()
        return first.result() and [one.result() for one in after] == [0, 1, 2]

    assert run_flow(main).result is True


async def test_an_async_call_that_waits_for_others_takes_no_place_of_a_limited_runner():
    @flow(task_runner=ThreadPoolTaskRunner(max_workers=2))
    async def main() -> int:
        opened = asyncio.Event()

        @task
        async def gate() -> int:
            async with asyncio.timeout(30):
                await opened.wait()
            return 1

        @task
        async def open_gate() -> None:
            opened.set()

        first = gate.submit()
        after = async_add.submit(first, 1)
        open_gate.submit()
        return await after

    assert (await run_flow_async(main)).result == 2


def test_a_call_that_waits_for_others_is_not_begun_when_its_run_has_failed():
    opened = threading.Event()
    begun = []

    @task
    def gate() -> bool:
        return opened.wait(30)

    @task
    def after(value: bool) -> bool:
        begun.append(value)
        return value

    @flow
    def main() -> None:
        waiting = after.submit(after.submit(gate.submit()))
        assert waiting.state.is_pending()
        waiting.add_done_callback(lambda _: opened.set())
        raise ValueError("enough")

    assert run_flow(main).state == "FAILED"
    assert opened.is_set()
    assert begun == []
