"""Where submitted tasks run: `@flow(task_runner=…)`."""

from perfect_sdk.elsewhere import names_of
from perfect_sdk.submitting.pool import ConcurrentTaskRunner, ThreadPoolTaskRunner
from perfect_sdk.submitting.process_pool import ProcessPoolTaskRunner

TaskRunner = ThreadPoolTaskRunner

__all__ = ["ConcurrentTaskRunner", "ProcessPoolTaskRunner", "TaskRunner", "ThreadPoolTaskRunner"]

__getattr__ = names_of(__name__)
