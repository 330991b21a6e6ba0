"""Logs: structlog for our own, the standard library's routed into the same lines; secrets are masked in both."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from perfect_bus.settings import Settings

SECRET_NAMES = re.compile(r"password|passwd|secret|token|api_?key|authorization|credential", re.IGNORECASE)
URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
MASK = "***"


def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: values of telling names, and credentials inside URLs, never reach a log."""
    for name, value in event.items():
        if SECRET_NAMES.search(name):
            event[name] = MASK
        elif isinstance(value, str) and "://" in value:
            event[name] = URL_CREDENTIALS.sub(MASK + "@", value)
    return event


def set_up(settings: Settings, process: str) -> structlog.stdlib.BoundLogger:
    """Configure logging of this process and return its logger. `process`: the name each line carries."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        mask,
    ]
    if settings.log_format == "json":
        last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.getLevelName(settings.log_level.upper()), logging.INFO))
    logging.getLogger("perfect").setLevel(settings.log_level.upper())
    return structlog.stdlib.get_logger("perfect").bind(process=process)
