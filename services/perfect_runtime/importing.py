"""Importing what every service needs, quickly: the collector rests, and nothing is imported that nobody uses."""

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Imports make hardly any garbage, but so many objects that looking for it takes a tenth of their time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def import_shared() -> None:
    """What all services have in common."""
    with uncollected():
        _import_structlog_alone()

        with contextlib.suppress(ImportError):
            import uvloop  # noqa: F401


def _import_structlog_alone() -> None:
    """Where rich is installed structlog imports it, for tracebacks in colours: 4 MB in each process, and 40 ms."""
    if sys.modules.keys() & {"structlog", "rich"}:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # an import of it fails
    import structlog  # noqa: F401

    del sys.modules["rich"]
