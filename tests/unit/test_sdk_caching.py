"""Cached results: keys, hits within a run and in other runs, expiration, and what a resumed run makes of them."""

import dataclasses
import threading
from datetime import timedelta

import pytest

from perfect_schemas import events as e
from perfect_sdk import flow, task
from perfect_sdk.cache_policies import (
    DEFAULT,
    FLOW_PARAMETERS,
    INPUTS,
    NO_CACHE,
    NONE,
    RUN_ID,
    TASK_SOURCE,
    CacheKeyFnPolicy,
    CachePolicy,
)
from perfect_sdk.caching import cache_entry
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.tasks import task_input_hash
from perfect_sdk.testing import resume, run_flow, run_flow_async


@pytest.fixture(autouse=True)
def _empty_cache():
    cache_entry.of_process.clear()


def of_type(result, kind):
    return [event for event in result.events if isinstance(event, kind)]


def counted(**options):
    """A flow that calls one task with each of its inputs, and what the task was really called with."""
    calls: list[int] = []

    @task(**options)
    def double(x: int, note: str = "") -> int:
        calls.append(x)
        return 2 * x

    @flow
    def main(inputs: list[int], note: str = "") -> list[int]:
        return [double(x, note) for x in inputs]

    return main, calls


def test_without_a_policy_every_call_computes():
    main, calls = counted()
    assert run_flow(main, {"inputs": [1, 1]}).result == [2, 2]
    assert run_flow(main, {"inputs": [1]}).result == [2]
    assert calls == [1, 1, 1]


def test_inputs_are_computed_once_for_all_runs():
    main, calls = counted(cache_policy=INPUTS)
    first = run_flow(main, {"inputs": [1, 2, 1]})
    assert first.result == [2, 4, 2]
    cached = of_type(first, e.TaskCached)
    assert [event.task_key for event in cached] == ["double-2"]
    assert cached[0].cache_key
    assert [task.state for task in first.tasks] == ["COMPLETED", "COMPLETED", "CACHED"]
    assert run_flow(main, {"inputs": [2, 1]}).result == [4, 2]
    assert calls == [1, 2]


def test_the_default_policy_ends_with_the_run():
    for options in ({"cache_policy": DEFAULT}, {"persist_result": True}, {"cache_policy": RUN_ID + INPUTS}):
        main, calls = counted(**options)
        assert run_flow(main, {"inputs": [1, 1]}).result == [2, 2]
        assert run_flow(main, {"inputs": [1]}).result == [2]
        assert calls == [1, 1]


def test_a_flow_that_persists_results_has_its_tasks_do_so():
    calls = []

    @task
    def once(x: int) -> int:
        calls.append(x)
        return x

    @task(cache_policy=NO_CACHE)
    def always(x: int) -> int:
        calls.append(-x)
        return x

    @flow(persist_result=True)
    def main() -> None:
        once(1), once(1), always(1), always(1)

    run_flow(main)
    assert calls == [1, -1, -1]


def test_what_is_left_out_of_the_inputs_makes_no_difference():
    main, calls = counted(cache_policy=INPUTS - "note")
    run_flow(main, {"inputs": [1], "note": "a"})
    run_flow(main, {"inputs": [1], "note": "b"})
    assert calls == [1]
    other, calls = counted(cache_policy=INPUTS + TASK_SOURCE)
    run_flow(other, {"inputs": [1], "note": "a"})
    run_flow(other, {"inputs": [1], "note": "b"})
    assert calls == [1, 1]


def test_the_parameters_of_the_flow():
    main, calls = counted(cache_policy=FLOW_PARAMETERS)
    assert run_flow(main, {"inputs": [1, 2]}).result == [2, 2]
    assert run_flow(main, {"inputs": [3]}).result == [6]
    assert calls == [1, 3]


def test_a_key_of_ones_own():
    seen = []

    def key(context, parameters):
        seen.append((context.task.name, context.task_run.flow_run_id is not None, parameters))
        return "odd" if parameters["x"] % 2 else None

    main, calls = counted(cache_key_fn=key)
    assert run_flow(main, {"inputs": [1, 3, 2, 2]}).result == [2, 2, 4, 4]
    assert calls == [1, 2, 2]
    assert seen[0] == ("double", True, {"x": 1, "note": ""})
    again, calls = counted(cache_policy=CacheKeyFnPolicy(cache_key_fn=key))
    assert run_flow(again, {"inputs": [5]}).result == [2]
    assert calls == []


def test_a_policy_of_ones_own_may_ask_for_the_run():
    class ByRun(CachePolicy):
        def compute_key(self, task_ctx, inputs, flow_parameters, **kwargs):
            return f"{task_ctx.task_run.flow_run_id}:{inputs['x']}:{sorted(flow_parameters)}"

    main, calls = counted(cache_policy=ByRun())
    assert run_flow(main, {"inputs": [1, 1]}).result == [2, 2]
    run_flow(main, {"inputs": [1]})
    assert calls == [1, 1]
    both, calls = counted(cache_policy=ByRun() + INPUTS)
    run_flow(both, {"inputs": [1, 1]})
    assert calls == [1]


def test_task_input_hash_tells_tasks_apart():
    main, calls = counted(cache_key_fn=task_input_hash)
    other, others = counted(cache_key_fn=task_input_hash)
    run_flow(main, {"inputs": [1, 1, 2]})
    assert calls == [1, 2]
    run_flow(other, {"inputs": [1]})  # the same code
    assert others == []


def test_a_result_expires():
    main, calls = counted(cache_policy=INPUTS, cache_expiration=timedelta(microseconds=1))
    assert run_flow(main, {"inputs": [1, 1]}).result == [2, 2]
    assert calls == [1, 1]
    with pytest.raises(NotSupported, match="timedelta"):
        task(cache_policy=INPUTS, cache_expiration=60)(lambda: None)


def test_refreshed_results_are_the_ones_that_others_get():
    n = iter(range(10))

    @task(cache_policy=INPUTS)
    def draw(x: int) -> int:
        return next(n)

    @flow
    def main(refresh: bool) -> int:
        return draw.with_options(refresh_cache=True)(1) if refresh else draw(1)

    assert [run_flow(main, {"refresh": refresh}).result for refresh in (False, False, True, False)] == [
        0,
        0,
        1,
        1,
    ]


def test_a_setting_refreshes_everything(monkeypatch):
    from perfect_sdk.caching import cached_call

    monkeypatch.setenv("PERFECT_REFRESH_CACHE", "true")
    cached_call._refreshes_by_default.cache_clear()
    try:
        main, calls = counted(cache_policy=INPUTS)
        run_flow(main, {"inputs": [1, 1]})
        assert calls == [1, 1]
    finally:
        cached_call._refreshes_by_default.cache_clear()


@dataclasses.dataclass
class Row:
    day: str
    values: list[float]


def test_values_come_back_as_they_were_and_large_ones_too():
    calls = []

    @task(cache_policy=INPUTS)
    def load(day: str) -> Row:
        calls.append(day)
        return Row(day, [0.5] * 100_000)

    @flow
    def main() -> tuple[str, int]:
        row = load("monday")
        assert isinstance(row, Row)
        return row.day, len(row.values)

    first, second = run_flow(main), run_flow(main)
    assert first.result == second.result == ("monday", 100_000)
    assert calls == ["monday"]
    assert of_type(second, e.TaskCached)[0].result.ref is not None


def test_states_and_hooks_of_a_hit():
    said = []

    @task(cache_policy=INPUTS, on_completion=[lambda task, run, state: said.append(state.name)])
    def one(x: int) -> int:
        return x

    @flow
    def main() -> list[str]:
        future = one.submit(1)
        future.wait()
        return [one(1, return_state=True).name, future.state.name, str(one(1, return_state=True).type)]

    assert run_flow(main).result == ["Cached", "Completed", "COMPLETED"]
    assert said == ["Completed", "Cached", "Cached"]


async def test_async_tasks():
    calls = []

    @task(cache_policy=INPUTS)
    async def one(x: int) -> int:
        calls.append(x)
        return x

    @flow
    async def main() -> list[int]:
        return [await one(1), await one(1), await one.submit(1)]

    assert (await run_flow_async(main)).result == [1, 1, 1]
    assert calls == [1]


def test_what_failed_or_cannot_be_kept_is_not_cached():
    attempts = []

    @task(cache_policy=INPUTS, retries=0)
    def fails_once(x: int) -> int:
        attempts.append(x)
        if attempts.count(x) == 1:
            raise ValueError(x)
        return x

    @task(cache_policy=INPUTS)
    def unstorable(y: str) -> object:
        attempts.append(y)
        return object()

    @flow
    def main() -> int:
        unstorable("u"), unstorable("u")
        with pytest.raises(ValueError, match="1"):
            fails_once(1)
        return fails_once(1)

    result = run_flow(main)
    assert result.state == "COMPLETED"
    assert attempts == ["u", "u", 1, 1]
    assert of_type(result, e.TaskCached) == []


def test_inputs_without_a_form_are_said_once_and_not_cached():
    calls = []

    @task(cache_policy=INPUTS)
    def hold(lock: object) -> None:
        calls.append(lock)

    @flow
    def main() -> None:
        lock = threading.Lock()
        hold(lock), hold(lock)

    result = run_flow(main)
    assert result.state == "COMPLETED"
    assert len(calls) == 2
    lines = [line.message for line in result.logs if "no cache key" in line.message]
    assert len(lines) == 1
    assert "NO_CACHE" in lines[0]


def test_a_resumed_run_gets_what_was_recorded_not_what_the_cache_has_now():
    n = iter(range(10))

    @task(cache_policy=INPUTS)
    def draw(x: int) -> int:
        return next(n)

    @flow
    def main() -> int:
        return draw(1)

    run_flow(main)
    second = run_flow(main)
    assert second.result == 0
    run_flow(flow(name="other")(lambda: draw.with_options(refresh_cache=True)(1)))
    again = resume(main, second.events[:-1])
    assert again.result == 0
    assert len(of_type(again, e.TaskCached)) == 1


def test_a_resumed_run_knows_what_it_computed_itself():
    main, calls = counted(cache_policy=DEFAULT)
    first = run_flow(main, {"inputs": [1, 2, 1]})
    done = next(i for i, event in enumerate(first.events) if isinstance(event, e.TaskCompleted))
    calls.clear()
    again = resume(main, first.events[: done + 1])
    assert again.result == [2, 4, 2]
    assert calls == [2]
    assert [task.state for task in again.tasks] == ["COMPLETED", "COMPLETED", "CACHED"]


def test_a_task_that_was_cut_off_may_find_its_result_when_it_goes_on():
    main, calls = counted(cache_policy=INPUTS)
    first = run_flow(main, {"inputs": [7]})
    started = next(i for i, event in enumerate(first.events) if isinstance(event, e.TaskStarted))
    again = resume(main, first.events[: started + 1])
    assert again.result == [14]
    assert calls == [7]
    assert [task.state for task in again.tasks] == ["CACHED"]


def test_policies_add_up():
    assert repr(DEFAULT) == "INPUTS + TASK_SOURCE + RUN_ID"
    assert repr(INPUTS - "a" - "b") == "INPUTS - 'a' - 'b'"
    assert repr(DEFAULT - "a") == "INPUTS - 'a' + TASK_SOURCE + RUN_ID"
    assert INPUTS + NONE is INPUTS
    assert NO_CACHE + INPUTS is INPUTS
    assert RUN_ID - "a" is RUN_ID
    assert DEFAULT.is_within_run
    assert not (INPUTS + TASK_SOURCE).is_within_run
    with pytest.raises(TypeError, match="another policy"):
        INPUTS + "a"
    with pytest.raises(TypeError, match="name of an argument"):
        INPUTS - 3
    with pytest.raises(NotSupported, match="key_storage"):
        INPUTS.configure(key_storage="/tmp")
    with pytest.raises(NotSupported, match="cache_policies"):
        task(cache_policy="INPUTS")(lambda: None)


def test_options_that_do_not_go_together_say_so():
    with pytest.warns(UserWarning, match="cache_key_fn is used"):
        one = task(cache_policy=INPUTS, cache_key_fn=task_input_hash)(lambda: None)
    assert isinstance(one.policy.cache, CacheKeyFnPolicy)
    with pytest.warns(UserWarning, match="has no effect"):
        assert task(cache_policy=INPUTS, persist_result=False)(lambda: None).policy.cache is None
