"""What runs, for code that is not told: `runtime.flow_run.id`, `runtime.task_run.name`, `runtime.deployment.name` …

Attributes are looked up when they are read. Outside of a run they are None, or empty where they are a list, an object or
a count.
"""

from perfect_sdk.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
