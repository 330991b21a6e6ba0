"""Where users of Prefect import loggers from."""

from perfect_sdk.recording.logs import disable_run_logger, get_logger, get_run_logger

__all__ = ["disable_run_logger", "get_logger", "get_run_logger"]
