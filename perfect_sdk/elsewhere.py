"""What Prefect has and Perfect does not: each name says what to use instead when somebody imports it.

The sentences come as ImportErrors, which is what a name that is missing raises anyway.
"""

from collections.abc import Callable
from typing import Any

_SERVE = "serve the flow where it is to run: flow.serve(name=…), serve(flow.to_deployment(name=…)) or `perfect worker FILE.py`"
_CLIENT = (
    "use create_client(), which speaks HTTP, run_deployment() to start runs, or `perfect … --json` for what the command line "
    "shows"
)
_EVENTS = "every run and task records its events by itself; follow them by `perfect events`, or react in a hook (on_completion=…)"
_AUTOMATION = (
    "react in a flow's hooks (on_failure=…), by a schedule, or in a program that follows `perfect events`"
)
_BLOCKS = "keep secrets in Secret (perfect_sdk.blocks.system) and other configuration in Variable (perfect_sdk.variables)"
_NOTIFY = "send the message in a hook: @flow(on_failure=[…])"
_RESULTS = 'results are kept by the system itself; result_serializer= is "json" or "pickle"'
_ASSETS = "say what a task works on in its name or tags, or create an artifact of it (perfect_sdk.artifacts)"
_MESSAGES = (
    "pass values as parameters or by pause_flow_run(wait_for_input=…) and resume_flow_run(run_input=…)"
)
_POOLS = "there are no work pools: start `perfect worker FILE.py` on the machines that are to run flows"

NAMES: dict[str, str] = {
    "blocks.Block": _BLOCKS,
    "blocks.system.DateTime": _BLOCKS,
    "blocks.system.JSON": _BLOCKS,
    "blocks.system.String": _BLOCKS,
    "client.get_client": _CLIENT,
    "context.with_context": "use task.submit(): the threads and processes of a task runner know their run",
    "deploy": _SERVE,
    "deployments.DeploymentImage": _SERVE,
    "deployments.deploy": _SERVE,
    "exceptions.Abort": "raise an exception, or return Failed() or Cancelled() (perfect_sdk.states)",
    "exceptions.Pause": "call pause_flow_run()",
    "flow_runs.wait_for_flow_run": "run_deployment() waits for its run; from a terminal: `perfect runs watch RUN`",
    "flows.load_flow_from_entrypoint": "import the module, or load_flows(FILE) from perfect_sdk.flows",
    "futures.PrefectFlowRunFuture": "run_deployment() returns the run; in async code it can be awaited beside others",
    "get_client": _CLIENT,
    "input.receive_input": _MESSAGES,
    "input.send_input": _MESSAGES,
    "results.ResultStore": _RESULTS,
    "task_runners.PrefectTaskRunner": "give a task a queue (@task(queue=…)): workers of that queue run it",
    "utilities.annotations.freeze": "pass the value as it is; it is evaluated when the task is called",
    "utilities.annotations.opaque": "use quote(value): it is not looked into for futures",
}
MODULES: dict[str, str] = {
    "assets": _ASSETS,
    "automations": _AUTOMATION,
    "blocks.abstract": _BLOCKS,
    "blocks.core": _BLOCKS,
    "blocks.notifications": _NOTIFY,
    "blocks.webhook": _NOTIFY,
    "client.orchestration": _CLIENT,
    "docker": _SERVE,
    "events": _EVENTS,
    "filesystems": "read and write files in your tasks; " + _RESULTS,
    "infrastructure": _POOLS,
    "locking": "transactions take no locks: put `with concurrency(name):` with a limit of one slot around them",
    "logging.configuration": "log lines are kept by the system; Python's logging is yours to configure",
    "runner": _SERVE,
    "serializers": _RESULTS,
    "server": "the services are started by `perfect up`",
    "settings": "set PERFECT_… in the environment, or perfect.toml; `perfect config` prints what holds",
    "workers": _POOLS,
}


def names_of(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module of this package."""
    inner = module.removeprefix("perfect_sdk").lstrip(".")

    def look_up(name: str) -> Any:
        instead = NAMES.get(f"{inner}.{name}" if inner else name)
        if instead is not None:
            raise ImportError(f"{module} has no {name!r}: {instead}", name=module)
        raise AttributeError(f"{module} has no {name!r}")

    return look_up


class Guide:
    """Asked by Python's import system last, for modules that nobody has found."""

    @staticmethod
    def find_spec(name: str, _path: Any = None, _target: Any = None) -> None:
        package, _, inner = name.partition(".")
        if package == "perfect_sdk" and (instead := MODULES.get(inner)):
            raise ImportError(f"there is no {name}: {instead}", name=name)
