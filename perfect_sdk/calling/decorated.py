"""What flows and tasks have in common: they stand in the place of a function, know their options, and take hooks."""

from collections.abc import Callable
from typing import Any

from perfect_sdk import options
from perfect_sdk.calling.policy import Hook, Policy


class Decorated:
    """Part of `Flow` and `Task`."""

    policy: Policy
    _options: dict[str, Any]

    retries = options.given("retries", 0)
    retry_delay_seconds = options.given("retry_delay_seconds", 0)
    timeout_seconds = options.given("timeout_seconds")
    persist_result = options.given("persist_result")
    log_prints = options.given("log_prints")

    def _look_like(self, fn: Callable[..., Any]) -> None:
        for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
            value = getattr(fn, attribute, None)
            if value is not None:
                setattr(self, attribute, value)
        self.__wrapped__ = fn

    def on_completion(self, fn: Hook) -> Hook:
        self.policy.hooks.completion.append(fn)
        return fn

    def on_failure(self, fn: Hook) -> Hook:
        self.policy.hooks.failure.append(fn)
        return fn

    def on_running(self, fn: Hook) -> Hook:
        self.policy.hooks.running.append(fn)
        return fn
