"""Where submitted tasks run: `@flow(task_runner=…)`."""

from perfect_sdk.pool import ConcurrentTaskRunner, ThreadPoolTaskRunner
from perfect_sdk.process_pool import ProcessPoolTaskRunner

TaskRunner = ThreadPoolTaskRunner

__all__ = ["ConcurrentTaskRunner", "ProcessPoolTaskRunner", "TaskRunner", "ThreadPoolTaskRunner"]
