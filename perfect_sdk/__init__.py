"""Perfect: durable Python workflows.

    from perfect_sdk import flow, task

    @task(retries=3)
    def extract(day: str) -> list[int]: ...

    @flow
    def etl(day: str = "today") -> int:
        return sum(extract(day))

`flow` and `task` are loaded now (each is also the name of its module, which must not hide it); the other names when
they are first used, so that importing this package costs little.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from perfect_sdk.flow import Flow, flow
from perfect_sdk.task import Task, task

if TYPE_CHECKING:
    from perfect_sdk.annotations import allow_failure, quote, unmapped
    from perfect_sdk.calling.policy import exponential_backoff
    from perfect_sdk.committing.transaction import Transaction
    from perfect_sdk.context import tags
    from perfect_sdk.deployments import arun_deployment, run_deployment
    from perfect_sdk.futures import (
        PerfectFuture,
        PerfectFutureList,
        as_completed,
        wait,
    )
    from perfect_sdk.http.client import PerfectAPIClient, create_client
    from perfect_sdk.recording.logs import disable_run_logger, get_logger, get_run_logger
    from perfect_sdk.recording.progress import update_progress
    from perfect_sdk.schedule import (
        Cron,
        CronSchedule,
        Interval,
        IntervalSchedule,
        Once,
        OnceSchedule,
        RRule,
        RRuleSchedule,
    )
    from perfect_sdk.serving.serve import aserve, serve
    from perfect_sdk.states import State
    from perfect_sdk.submitting.pool import ThreadPoolTaskRunner
    from perfect_sdk.submitting.process_pool import ProcessPoolTaskRunner
    from perfect_sdk.waiting.pausing import (
        apause_flow_run,
        aresume_flow_run,
        asleep,
        asuspend_flow_run,
        pause_flow_run,
        resume_flow_run,
        sleep,
        suspend_flow_run,
    )

    __version__: str

_HOME = {
    "Cron": "schedule",
    "CronSchedule": "schedule",
    "Interval": "schedule",
    "IntervalSchedule": "schedule",
    "Once": "schedule",
    "OnceSchedule": "schedule",
    "PerfectAPIClient": "http.client",
    "PerfectFuture": "futures",
    "PerfectFutureList": "futures",
    "RRule": "schedule",
    "RRuleSchedule": "schedule",
    "ProcessPoolTaskRunner": "submitting.process_pool",
    "State": "states",
    "ThreadPoolTaskRunner": "submitting.pool",
    "Transaction": "committing.transaction",
    "allow_failure": "annotations",
    "apause_flow_run": "waiting.pausing",
    "aresume_flow_run": "waiting.pausing",
    "arun_deployment": "deployments",
    "as_completed": "futures",
    "aserve": "serving.serve",
    "asleep": "waiting.pausing",
    "asuspend_flow_run": "waiting.pausing",
    "create_client": "http.client",
    "disable_run_logger": "recording.logs",
    "exponential_backoff": "calling.policy",
    "get_logger": "recording.logs",
    "get_run_logger": "recording.logs",
    "pause_flow_run": "waiting.pausing",
    "quote": "annotations",
    "resume_flow_run": "waiting.pausing",
    "run_deployment": "deployments",
    "serve": "serving.serve",
    "sleep": "waiting.pausing",
    "suspend_flow_run": "waiting.pausing",
    "tags": "context",
    "unmapped": "annotations",
    "update_progress": "recording.progress",
    "wait": "futures",
}

_MODULES = frozenset(
    (
        "artifacts",
        "cache_policies",
        "concurrency",
        "context",
        "deployments",
        "exceptions",
        "futures",
        "runtime",
        "schedules",
        "states",
        "task_runners",
        "transactions",
        "variables",
    )
)
"""Those that are there without an import of their own: `perfect_sdk.runtime.flow_run.id`."""

__all__ = [
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
    "ProcessPoolTaskRunner",
    "RRule",
    "RRuleSchedule",
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


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is not None:
        value = getattr(import_module(f"perfect_sdk.{home}"), name)
    elif name in _MODULES:
        return import_module(f"perfect_sdk.{name}")
    elif name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            value = version("perfect-flow")
        except PackageNotFoundError:
            value = "0.0.0"
    else:
        from perfect_sdk.elsewhere import names_of

        return names_of(__name__)(name)
    globals()[name] = value
    return value


class _Guide:
    """Says of modules that only Prefect has what to use instead; see `perfect_sdk.elsewhere`."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name.startswith("perfect_sdk.") and name != "perfect_sdk.elsewhere":
            from perfect_sdk.elsewhere import Guide

            Guide.find_spec(name, path, target)


sys.meta_path.append(_Guide)  # type: ignore[arg-type]  all that it takes is `find_spec`


def __dir__() -> list[str]:
    return sorted(__all__)
