"""Tasks, as users of Prefect import them."""

from perfect_sdk.cache_policies import task_input_hash
from perfect_sdk.calling.policy import exponential_backoff
from perfect_sdk.task import Task, task

__all__ = ["Task", "exponential_backoff", "task", "task_input_hash"]
