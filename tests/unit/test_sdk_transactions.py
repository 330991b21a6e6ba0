"""Transactions: what commits, and what is undone."""

import pytest
from staged import step

from perfect_sdk import flow, task
from perfect_sdk.caching import cache_entry
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.states import Completed
from perfect_sdk.testing import resume, run_flow, run_flow_async
from perfect_sdk.transactions import (
    CommitMode,
    IsolationLevel,
    Transaction,
    atransaction,
    get_transaction,
    transaction,
)


@pytest.fixture(autouse=True)
def _empty_cache():
    cache_entry.of_process.clear()


@pytest.fixture
def said() -> list[str]:
    return []


def test_a_task_alone_commits_when_it_is_done(said):
    one, bad = step("one", said), step("bad", said, fails=True)

    @flow
    def main() -> None:
        one()
        said.append("then")
        with pytest.raises(ValueError, match="bad"):
            bad()

    run_flow(main)
    assert said == ["one", "one+", "then", "bad"]


def test_all_commit_at_the_end_in_their_order(said):
    one, two = step("one", said), step("two", said)

    @flow
    def main() -> None:
        with transaction():
            one()
            with transaction():
                two()
            said.append("end")
        said.append("out")

    assert run_flow(main).state == "COMPLETED"
    assert said == ["one", "two", "end", "one+", "two+", "out"]


def test_a_failure_undoes_all_in_reverse(said):
    one, two, bad = step("one", said), step("two", said), step("bad", said, fails=True)

    @flow
    def main() -> None:
        with transaction():
            one()
            with transaction():
                two()
            bad()

    assert run_flow(main).state == "FAILED"
    assert said == ["one", "two", "bad", "two-", "one-"]


def test_a_failure_that_is_caught_undoes_all_the_same(said):
    one, two, bad = step("one", said), step("two", said), step("bad", said, fails=True)

    @flow
    def main() -> None:
        with transaction() as txn:
            one()
            with pytest.raises(ValueError, match="bad"):
                bad()
            two()
        assert txn.is_rolled_back()

    assert run_flow(main).state == "COMPLETED"
    assert said == ["one", "bad", "one-", "two"]


def test_an_error_of_the_code_around_undoes_what_was_submitted(said):
    one = step("one", said)

    @flow
    def main() -> None:
        with transaction():
            one.submit().wait()
            raise KeyError("x")

    assert run_flow(main).state == "FAILED"
    assert said == ["one", "one-"]


def test_what_a_task_calls_belongs_to_it(said):
    inner = step("inner", said)

    @task
    def outer(fails: bool) -> None:
        inner()
        said.append("outer")
        if fails:
            raise ValueError("outer")

    @flow
    def main(fails: bool) -> None:
        outer(fails)

    run_flow(main, {"fails": False})
    assert said == ["inner", "outer", "inner+"]
    said.clear()
    run_flow(main, {"fails": True})
    assert said == ["inner", "outer", "inner-"]


def test_modes(said):
    one, two, three = step("one", said), step("two", said), step("three", said)

    @flow
    def main() -> None:
        with transaction():
            with transaction(commit_mode=CommitMode.EAGER):
                one()
            said.append("eager is done")
            two()
        with transaction(commit_mode=CommitMode.OFF):
            three()

    run_flow(main)
    assert said == ["one", "one+", "eager is done", "two", "two+", "three", "three-"]


def test_values_are_handed_on_as_copies(said):
    found = []

    @task
    def work() -> None:
        txn = get_transaction()
        txn.set("own", 1)
        found.append(txn.get("path"))

    @work.on_rollback
    def undo(txn: Transaction) -> None:
        found.append((txn.get("path"), txn.get("own"), txn.get("none", "default")))

    @flow
    def main() -> None:
        with transaction() as txn:
            txn.set("path", ["a"])
            txn.get("path").append("b")
            work()
            with pytest.raises(ValueError, match="no value 'other'"):
                txn.get("other")
            raise KeyError("x")

    run_flow(main)
    assert found == [["a"], (["a"], 1, "default")]


async def test_async_flows_and_hooks(said):
    one = step("one", said)

    @one.on_commit
    async def later(txn: Transaction) -> None:
        said.append("later")

    @task
    async def bad() -> None:
        raise ValueError("bad")

    @flow
    async def main(fails: bool, plain: bool) -> None:
        if plain:
            with transaction():
                one()
                if fails:
                    await bad()
        else:
            async with atransaction():
                one()
                if fails:
                    await bad()

    for plain in (False, True):
        said.clear()
        assert (await run_flow_async(main, {"fails": False, "plain": plain})).state == "COMPLETED"
        assert said == ["one", "one+", "later"]
        said.clear()
        assert (await run_flow_async(main, {"fails": True, "plain": plain})).state == "FAILED"
        assert said == ["one", "one-"]


def test_a_commit_hook_that_fails_undoes_its_own_task(said):
    one = step("one", said)

    @task
    def two() -> None:
        said.append("two")

    @two.on_commit
    def broken(txn: Transaction) -> None:
        raise RuntimeError("disk full")

    @two.on_rollback
    def undo(txn: Transaction) -> None:
        said.append("two-")

    @flow
    def main() -> str:
        with transaction() as txn:
            two()
            one()
        return txn.state.value

    result = run_flow(main)
    assert result.result == "COMMITTED"
    assert said == ["two", "one", "two-", "one+"]
    assert any("could not be committed" in line.message for line in result.logs)


def test_a_state_that_a_task_returns_is_staged(said):
    @task
    def skips() -> object:
        return Completed(name="Skipped", message="nothing to do", data=1)

    @skips.on_commit
    def confirm(txn: Transaction) -> None:
        said.append("confirmed")

    @flow
    def main() -> tuple[str, str]:
        state = skips(return_state=True)
        return state.name, state.message

    first = run_flow(main)
    assert first.result == ("Skipped", "nothing to do")
    assert resume(main, first.events[:-1]).result == ("Skipped", "nothing to do")
    assert said == ["confirmed"]


def test_what_is_not_supported_says_so():
    with pytest.raises(NotSupported, match="store"):
        transaction(store=object())
    with pytest.raises(NotSupported, match="concurrency"):
        transaction(isolation_level=IsolationLevel.SERIALIZABLE)
    assert transaction(isolation_level="READ_COMMITTED").is_pending()
    with transaction() as txn, pytest.raises(RuntimeError, match="once"), txn:
        pass
