"""Task keys do not depend on timing; a replay finds what was done, or says that the flow left its history."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfect_schemas.envelope import StoredValue
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import TaskState
from perfect_sdk import flow, task
from perfect_sdk.calling.keys import Place, Scope, family
from perfect_sdk.exceptions import NonDeterministicFlowError
from perfect_sdk.running.replay import Replay
from perfect_sdk.testing import resume, resume_async, run_flow, run_flow_async

AT = datetime(2026, 1, 1, tzinfo=UTC)


def record(key, name, *, ordinal=0, digest="d", state=TaskState.COMPLETED):
    return TaskLife(
        id=key,
        run_id="r",
        key=key,
        task_id="t",
        name=name,
        state=state,
        last_seq=1,
        ordinal=ordinal,
        input_digest=digest,
    )


def test_a_scope_counts_by_name_and_orders_all():
    scope = Scope()
    assert scope.take("a") == Place("", "a-0", 0)
    assert scope.take("b") == Place("", "b-0", 1)
    assert scope.take("a") == Place("", "a-1", 2)
    inner = Scope("a-0")
    assert inner.take("b") == Place("a-0", "a-0/b-0", 0)
    assert inner.branch("fetch").take("b").key == "a-0/fetch~0/b-0"
    assert inner.branch("fetch").take("b").key == "a-0/fetch~1/b-0"
    assert inner.take("x/y~z").key == "a-0/x_y_z-0"
    assert scope.take("a", taken={"a-2", "a-3"}).key == "a-4"
    assert family("a-0/fetch~12/x") == "a-0/fetch~/x"


def test_what_is_recorded_is_found_and_what_is_not_is_new():
    replay = Replay([record("a-0", "a")])
    assert replay.match(Place("", "a-0", 0), "a", "d").key == "a-0"
    assert replay.match(Place("", "b-0", 1), "b", "d") is None


def test_another_name_at_an_ordinal_names_both_keys():
    replay = Replay([record("a-0", "a"), record("b-0", "b", ordinal=1)])
    with pytest.raises(NonDeterministicFlowError) as caught:
        replay.match(Place("", "b-0", 0), "b", "d")
    assert (caught.value.expected, caught.value.actual) == ("a-0", "b-0")
    assert "'a-0'" in str(caught.value)
    assert "'b-0'" in str(caught.value)


def test_other_inputs_are_matched_by_digest_within_the_scope():
    replay = Replay([record("a-0", "a", digest="x"), record("a-1", "a", ordinal=1, digest="y")])
    assert replay.match(Place("", "a-0", 0), "a", "y").key == "a-1"
    assert replay.match(Place("", "a-1", 1), "a", "x").key == "a-0"


def test_other_inputs_than_recorded_are_an_error_unless_the_task_runs_again_anyway():
    with pytest.raises(NonDeterministicFlowError, match="other inputs"):
        Replay([record("a-0", "a")]).match(Place("", "a-0", 0), "a", "else")
    running = record("a-0", "a", state=TaskState.RUNNING)
    assert Replay([running]).match(Place("", "a-0", 0), "a", "else") is running
    unknown = record("a-0", "a", digest=None)
    assert Replay([unknown]).match(Place("", "a-0", 0), "a", "else") is unknown
    assert Replay([record("a-0", "a")]).match(Place("", "a-0", 0), "a", None).key == "a-0"


@task
async def work(n: int) -> int:
    return n * n


@given(order=st.permutations(range(5)), again=st.permutations(range(5)), cut=st.integers(2, 100))
@settings(max_examples=40, deadline=None)
def test_keys_and_results_do_not_depend_on_the_order_of_completion(order, again, cut):
    turns = list(order)

    @flow
    async def gathering() -> list[int]:
        async def branch(i: int) -> int:
            for _ in range(turns[i] * 3):
                await asyncio.sleep(0)
            first = await work(i)
            return first + await work(i + 10)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(branch(i)) for i in range(5)]
        submitted = [work.submit(i + 100) for i in range(3)]
        return [each.result() for each in tasks] + [await future for future in submitted]

    first = run_flow(gathering)
    assert first.state == "COMPLETED", first.outcome
    inputs = {task.key: task.input_digest for task in first.tasks}
    turns[:] = again
    second = run_flow(gathering)
    assert {task.key: task.input_digest for task in second.tasks} == inputs
    resumed = resume(gathering, first.events[: min(cut, len(first.events) - 1)])
    assert resumed.outcome.value == first.outcome.value
    assert {task.key: task.id for task in resumed.tasks} == {task.key: task.id for task in first.tasks}


async def test_workers_that_share_a_queue_take_over_each_others_records():
    ran: list[int] = []

    @task
    async def handle(n: int) -> int:
        ran.append(n)
        return n

    slow = [0, 1]

    @flow
    async def pool() -> list[int]:
        items = list(range(6))
        done = []

        async def worker(me: int) -> None:
            while items:
                item = items.pop(0)
                for _ in range(5 * slow[me]):
                    await asyncio.sleep(0)
                done.append(await handle(item))

        await asyncio.gather(worker(0), worker(1))
        return sorted(done)

    first = await run_flow_async(pool)
    assert first.result == list(range(6))
    slow.reverse()
    for n in range(2, len(first.events)):
        before = first.events[:n]
        ran.clear()
        again = await resume_async(pool, before)
        assert again.state == "COMPLETED", again.outcome
        assert again.result == list(range(6))
        finished = sum(event.type == "task.completed" for event in before)
        assert len(ran) == 6 - finished


def test_library_tasks_do_not_shift_the_users_branches():
    extra = [0]

    @flow
    async def mixed() -> list[int]:
        async def library() -> None:
            await asyncio.sleep(0)

        async def mine(i: int) -> int:
            return await work(i)

        noise = [asyncio.create_task(library()) for _ in range(extra[0])]
        values = await asyncio.gather(mine(1), mine(2))
        await asyncio.gather(*noise)
        return list(values)

    first = run_flow(mixed)
    extra[0] = 3
    again = resume(mixed, first.events[:-1])
    assert again.result == [1, 4]
    assert {task.key for task in again.tasks} == {"mine~0/work-0", "mine~1/work-0"}


def test_a_flow_that_leaves_its_history_fails_even_if_it_catches_the_error():
    names = ["a", "b"]

    @task
    def a() -> int:
        return 1

    @task
    def b() -> int:
        return 2

    @flow
    def picks() -> int:
        try:
            return {"a": a, "b": b}[names[0]]()
        except Exception:
            return 0

    first = run_flow(picks)
    names.reverse()
    again = resume(picks, first.events[:-1])
    assert again.state == "FAILED"
    assert isinstance(again.error, NonDeterministicFlowError)
    assert (again.error.expected, again.error.actual) == ("a-0", "b-0")


def test_the_task_factory_of_a_loop_is_put_back():
    async def main():
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        await run_flow_async(simple)
        assert loop.get_task_factory() is before

    @flow
    async def simple() -> int:
        return await work(2)

    asyncio.run(main())


def adopted(key, name, *, ordinal=0, digest="d"):
    kept = StoredValue(value=msgspec.Raw(b"1"))
    made = record(key, name, ordinal=ordinal, digest=digest)
    return msgspec.structs.replace(made, origin_run_id="o", result=kept)


def test_an_adopted_record_is_taken_with_the_same_inputs_only():
    replay = Replay([adopted("a-0", "a"), adopted("a-1", "a", ordinal=1, digest="e")])
    assert replay.match(Place("", "a-0", 0), "a", "d").result is not None
    again = replay.match(Place("", "a-1", 1), "a", "other")
    assert (again.key, again.result) == ("a-1", None)


def test_inputs_that_moved_by_one_place_run_again_at_their_own_keys():
    replay = Replay([adopted(f"a-{n}", "a", ordinal=n, digest=str(n)) for n in range(3)])
    found = [replay.match(Place("", f"a-{n}", n), "a", str(n + 1)) for n in range(3)]
    assert [one.key for one in found] == ["a-0", "a-1", "a-2"]


def test_adopted_records_bind_nobody_to_their_order():
    replay = Replay([adopted("a-0", "a"), adopted("b-0", "b", ordinal=1)])
    assert replay.match(Place("", "new-0", 0), "new", "x") is None
    assert replay.match(Place("", "a-0", 1), "a", "d").key == "a-0"
