"""Names of runs, and states that flows and tasks return or are asked for."""

import pytest

from perfect_schemas import events as e
from perfect_sdk import flow, runtime, task
from perfect_sdk.exceptions import FailedRun, UnfinishedRun
from perfect_sdk.states import Cancelled, Completed, Crashed, Failed, Pending, State
from perfect_sdk.testing import resume, run_flow


def of_type(result, kind):
    return [event for event in result.events if isinstance(event, kind)]


def test_task_runs_have_names_that_people_give_them():
    def by_runtime() -> str:
        return f"on-{runtime.task_run.parameters['day']}"

    def by_parameters(parameters) -> str:
        return f"at-{parameters['day']}-{parameters['n']}"

    seen = []

    def work(day: str, n: int = 3) -> str:
        seen.append(runtime.task_run.name)
        return day

    @flow
    def main() -> None:
        for name in ("of-{day}-{n}", by_runtime, by_parameters):
            task(task_run_name=name)(work)("monday")
        task(work)("monday")

    result = run_flow(main)
    assert [life.run_name for life in result.tasks] == ["of-monday-3", "on-monday", "at-monday-3", None]
    assert seen == ["of-monday-3", "on-monday", "at-monday-3", "work-3"]
    assert [event.run_name for event in of_type(resume(main, result.events[:-1]), e.TaskStarted)][:1] == [
        "of-monday-3"
    ]


def test_a_name_that_cannot_be_made_harms_nothing():
    @task(task_run_name="{nothing}")
    def work() -> int:
        return 1

    @flow(flow_run_name=lambda: 3)  # type: ignore[arg-type, return-value]
    def main() -> int:
        return work()

    result = run_flow(main)
    assert result.result == 1
    assert [life.run_name for life in result.tasks] == [None]
    lines = [line.message for line in result.logs]
    assert any("task_run_name of task 'work-0' cannot be made" in line for line in lines)
    assert any("flow_run_name of flow 'main' cannot be made" in line for line in lines)


def test_a_flow_names_a_run_that_was_triggered_without_a_name():
    def by_runtime() -> str:
        return f"{runtime.flow_run.flow_name}-for-{runtime.flow_run.parameters['who']}"

    for name, expected in (("hello-{who}", "hello-ann"), (by_runtime, "main-for-ann")):

        @flow(flow_run_name=name)
        def main(who: str) -> str:
            return runtime.flow_run.name

        result = run_flow(main, {"who": "ann"})
        assert result.result == expected
        assert result.history.run.name == expected
        again = resume(main, result.events[:-1])
        assert again.result == expected


def test_a_task_that_takes_too_long_is_timed_out():
    import time

    @task(timeout_seconds=0.001)
    def slow() -> None:
        time.sleep(0.01)

    @flow
    def main() -> list[str]:
        states = [slow(return_state=True), slow.submit(return_state=True)]
        assert all(state.is_failed() for state in states)
        return [state.name for state in states]

    assert run_flow(main).result == ["TimedOut", "TimedOut"]


def test_states_by_hand_keep_their_names():
    @task
    def gives(kind: str) -> State[int]:
        return {
            "skip": Completed(name="Skipped", message="why", data=3),
            "no": Failed(name="No", message="never"),
        }[kind]

    @flow
    def main() -> list[object]:
        future = gives.submit("skip")
        no = gives("no", return_state=True)
        with pytest.raises(FailedRun, match="never"):
            gives("no")
        return [
            gives("skip"),
            future.result(),
            repr(future.state),
            repr(no),
            repr(gives("skip", return_state=True)),
        ]

    first = run_flow(main)
    assert first.result == [3, 3, "Skipped('why')", "No('never')", "Skipped('why')"]
    assert first.history.tasks["gives-0"].state_name == "Skipped"
    assert resume(main, first.events[:-1]).outcome.value[4] == "Skipped('why')"


def test_a_flow_that_returns_a_state_sets_its_own():
    @flow
    def main(kind: str) -> State[int]:
        return {
            "skip": Completed(name="Skipped", message="why", data=3),
            "no": Failed(message="never"),
            "crash": Crashed(message="gone"),
        }[kind]

    state = main("skip", return_state=True)
    assert (state.name, state.message, state.result()) == ("Skipped", "why", 3)
    assert main("skip") == 3
    assert run_flow(main, {"kind": "no"}).state == "FAILED"
    assert run_flow(main, {"kind": "crash"}).state == "FAILED"


def test_a_flow_that_returns_a_future_returns_its_state():
    @task
    def one(x: int) -> int:
        if x < 0:
            raise ValueError(x)
        return x

    @flow
    def main(x: int, *, beside: bool = False) -> object:
        return [one.submit(x), 5] if beside else one.submit(x)

    assert main(3).result() == 3
    state = main(3, return_state=True)
    assert (state.message, state.result().result()) == ("All states completed.", 3)
    with pytest.raises(ValueError, match="-1"):
        main(-1)
    assert main(-1, return_state=True).message == "1/1 states failed."
    assert [main(-1, beside=True)[0].type, main(-1, beside=True)[1]] == ["FAILED", 5]
    assert main(-1, beside=True, return_state=True).is_completed()


def test_a_state_that_is_not_final_is_no_end():
    @flow
    def main() -> State[int]:
        return Pending(message="later")

    with pytest.raises(UnfinishedRun, match=r"not final: Pending\('later'\)"):
        main()
    assert run_flow(main).state == "FAILED"


def test_a_child_gives_the_same_states_when_its_parent_is_resumed():
    called = []

    @task
    def one(x: int) -> int:
        called.append(x)
        if x < 0:
            raise ValueError(x)
        return x

    @flow
    def child(inputs: list[int]) -> object:
        return one.map(inputs)

    @flow
    def main() -> list[object]:
        good, bad = child([1, 2]), child([3, -1])
        state = child([-2], return_state=True)
        return [*[repr(each) for each in (*good, *bad)], bad[1].data.args, repr(state)]

    first = run_flow(main)
    expected = ["Completed()"] * 3 + ["Failed('ValueError: -1')", (-1,), "Failed('1/1 states failed.')"]
    assert first.outcome.value == expected
    assert resume(main, first.events[:-1]).outcome.value == expected
    assert sorted(called) == [-2, -1, 1, 2, 3]


def test_a_flow_that_returns_several_is_judged_by_all():
    @task
    def one(x: int) -> int:
        if x < 0:
            raise ValueError(x)
        return x

    @flow
    def main(inputs: list[int], how: str) -> object:
        if how == "futures":
            return one.map(inputs)
        states = [one(x, return_state=True) for x in inputs]
        return states if how == "states" else {f"x{n}": state for n, state in enumerate(states)}

    for how in ("futures", "states"):
        assert [one.result() for one in main([1, 2], how)] == [1, 2]
        assert [one.type for one in main([1, -1], how)] == ["COMPLETED", "FAILED"]
        failed = main([1, -1], how, return_state=True)
        assert (failed.type, failed.message) == ("FAILED", "1/2 states failed.")
        assert [one.type for one in failed.result(raise_on_failure=False)] == ["COMPLETED", "FAILED"]
        with pytest.raises(FailedRun, match="1/2 states failed"):
            failed.result()
        result = run_flow(main, {"inputs": [1, -1], "how": how})
        assert result.state == "FAILED"
        assert str(result.error) == "1/2 states failed."
    assert {name: one.result() for name, one in main([1, 2], "dict").items()} == {"x0": 1, "x1": 2}
    assert main([1, -1], "dict", return_state=True).is_completed()

    @flow
    def cancelled() -> list[State[int]]:
        return [Completed(data=1), Cancelled()]

    assert run_flow(cancelled).state == "CANCELLED"
