"""Where users of other tools look for names, they are."""

import subprocess
import sys
from importlib import import_module

import pytest

PLACES = {
    "cache_policies": "DEFAULT INPUTS TASK_SOURCE FLOW_PARAMETERS RUN_ID NO_CACHE NONE CachePolicy CacheKeyFnPolicy",
    "client.schemas": "State StateType FlowRun TaskRun",
    "client.schemas.objects": "State StateType FlowRun TaskRun",
    "exceptions": "MissingContextError UnfinishedRun FailedRun CrashedRun CancelledRun MissingResult TaskCrashed",
    "flows": "Flow flow load_flows",
    "futures": "PrefectFuture PrefectFutureList wait as_completed resolve_futures_to_results",
    "states": "State StateType StateGroup Completed Failed Crashed Cancelled Paused Pending Running Scheduled "
    "raise_state_exception get_state_exception Submitting InfrastructurePending",
    "task_runners": "TaskRunner ThreadPoolTaskRunner ConcurrentTaskRunner ProcessPoolTaskRunner",
    "tasks": "Task task task_input_hash exponential_backoff",
    "transactions": "Transaction transaction atransaction get_transaction CommitMode IsolationLevel TransactionState",
    "utilities.annotations": "allow_failure quote unmapped",
}


@pytest.mark.parametrize(("place", "names"), PLACES.items())
def test_names(place: str, names: str) -> None:
    module = import_module(f"perfect_sdk.{place}")
    assert [name for name in names.split() if not hasattr(module, name)] == []


def test_they_are_the_same_things() -> None:
    import perfect_sdk
    from perfect_sdk.client.schemas.objects import State
    from perfect_sdk.flows import Flow
    from perfect_sdk.tasks import Task

    assert (perfect_sdk.State, perfect_sdk.Flow, perfect_sdk.Task) == (State, Flow, Task)


def test_groups_of_states() -> None:
    from perfect_sdk.states import Cancelled, Completed, Crashed, Failed, Paused, StateGroup

    group = StateGroup([Completed(), Failed(), Crashed(), Cancelled(), Paused()])
    assert (group.total_count, group.completed_count, group.failed_count, group.cancelled_count) == (
        5,
        1,
        2,
        1,
    )
    assert (group.any_failed(), group.any_cancelled(), group.any_paused()) == (True, True, True)
    assert (group.all_completed(), group.all_final()) == (False, False)
    assert StateGroup([Completed()]).all_completed()


def test_futures_in_a_value_become_results() -> None:
    from perfect_sdk import flow, task
    from perfect_sdk.futures import resolve_futures_to_results

    @task
    def one(x: int) -> int:
        return x

    @flow
    def main() -> object:
        return resolve_futures_to_results({"a": [one.submit(1), 2], "b": one.submit(3)})

    assert main() == {"a": [1, 2], "b": 3}


def test_modules_are_there_without_an_import_of_their_own() -> None:
    code = (
        "import perfect_sdk as prefect; print(prefect.runtime.flow_run.id, prefect.states.Completed().name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "None Completed\n", done.stderr
