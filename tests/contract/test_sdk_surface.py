"""The SDK's public surface: what it exports, what it costs, what type checkers see."""

import inspect
import subprocess
import sys
from importlib.resources import files

import pytest

import perfect_sdk
from perfect_sdk import Flow, Task, options, states
from perfect_sdk import exceptions as errors

PUBLIC = [
    "Cron",
    "CronSchedule",
    "Flow",
    "Interval",
    "IntervalSchedule",
    "Once",
    "OnceSchedule",
    "PerfectAPIClient",
    "PerfectFuture",
    "PerfectFutureList",
    "RRule",
    "RRuleSchedule",
    "ProcessPoolTaskRunner",
    "State",
    "Task",
    "ThreadPoolTaskRunner",
    "Transaction",
    "__version__",
    "allow_failure",
    "apause_flow_run",
    "aresume_flow_run",
    "arun_deployment",
    "as_completed",
    "aserve",
    "asleep",
    "asuspend_flow_run",
    "create_client",
    "disable_run_logger",
    "exponential_backoff",
    "flow",
    "get_logger",
    "get_run_logger",
    "pause_flow_run",
    "quote",
    "resume_flow_run",
    "run_deployment",
    "serve",
    "sleep",
    "suspend_flow_run",
    "tags",
    "task",
    "unmapped",
    "update_progress",
    "wait",
]


def test_all_is_what_is_promised():
    assert sorted(perfect_sdk.__all__) == sorted(PUBLIC)
    assert dir(perfect_sdk) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_there(name):
    assert getattr(perfect_sdk, name) is not None


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="perfect_sdk has no 'nothing'"):
        _ = perfect_sdk.nothing


def test_modules_do_not_hide_the_decorators():
    code = (
        "import perfect_sdk.flow, perfect_sdk.task, perfect_sdk.running.session\n"
        "from perfect_sdk import flow, task\n"
        "assert callable(flow) and callable(task), (flow, task)\n"
        "from perfect_sdk.flow import Flow\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_importing_is_cheap():
    code = (
        "import time; begin = time.process_time(); import perfect_sdk; took = time.process_time() - begin\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "heavy = {'asyncio', 'nats', 'logging', 'inspect', 'concurrent.futures'} & set(sys.modules) - before\n"
        "print(took, int(peak.split()[1]) / 1024, *sorted(heavy))"
    )
    code = "import sys; import msgspec; before = set(sys.modules)\n" + code
    measured = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path)},
        )
        seconds, mib, *heavy = done.stdout.split()
        assert heavy == []
        measured.append((float(seconds), float(mib)))
    assert min(seconds for seconds, _ in measured) < 0.15
    assert min(mib for _, mib in measured) < 35


def test_it_is_typed():
    assert files("perfect_sdk").joinpath("py.typed").is_file()


def test_the_options_of_the_decorators():
    of_flow = set(inspect.signature(Flow.__init__).parameters)
    assert of_flow >= {
        "name",
        "version",
        "flow_run_name",
        "retries",
        "retry_delay_seconds",
        "task_runner",
        "description",
        "timeout_seconds",
        "validate_parameters",
        "persist_result",
        "result_serializer",
        "log_prints",
        "on_completion",
        "on_failure",
        "on_cancellation",
        "on_crashed",
        "on_running",
        "tags",
        "schedule",
        "schedules",
    }
    of_task = set(inspect.signature(Task.__init__).parameters)
    assert of_task >= {
        "name",
        "description",
        "tags",
        "version",
        "retries",
        "retry_delay_seconds",
        "retry_jitter_factor",
        "retry_condition_fn",
        "persist_result",
        "result_serializer",
        "timeout_seconds",
        "log_prints",
        "on_completion",
        "on_failure",
        "on_running",
        "weight",
        "estimated_time",
        "cache_policy",
        "cache_key_fn",
        "cache_expiration",
        "refresh_cache",
        "task_run_name",
        "on_rollback",
        "on_commit",
    }


def test_the_decorators_announce_the_options_that_they_take():
    """The overloads, which editors show, and the classes must not drift apart."""
    from typing import get_overloads

    for decorator, kind in ((perfect_sdk.flow, Flow), (perfect_sdk.task, Task)):
        _, with_options = get_overloads(decorator)
        announced = inspect.signature(with_options).parameters
        taken = dict(inspect.signature(kind.__init__).parameters)
        del taken["self"], taken["fn"]
        assert set(announced) - set(options.IGNORED) - set(options.REFUSED) <= set(taken)
        missing = set(taken) - set(announced) - {"others"}
        assert missing == set()


@pytest.mark.parametrize(
    "name",
    [
        "Scheduled",
        "Pending",
        "Running",
        "Completed",
        "Failed",
        "Crashed",
        "Cancelled",
        "Cancelling",
        "Paused",
        "Suspended",
        "AwaitingRetry",
        "Retrying",
        "Late",
        "AwaitingConcurrencySlot",
    ],
)
def test_states(name):
    state = getattr(states, name)("why")
    assert state.name == name
    assert repr(state) == f"{name}('why')"
    if state.type in ("FAILED", "CRASHED", "CANCELLED"):
        with pytest.raises(errors.PerfectError, match="why"):
            state.result()
    elif not state.is_final():
        with pytest.raises(errors.UnfinishedRun):
            state.result()


def test_every_error_speaks():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, Exception) or name == "FieldError"
