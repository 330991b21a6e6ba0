"""`prefect_test_harness`, as users of Prefect import it. Tests of your own have more in `perfect_sdk.testing`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["prefect_test_harness"]

_OFFLINE = "PERFECT_OFFLINE"


@contextmanager
def prefect_test_harness(server_startup_timeout: Any = None) -> Iterator[None]:  # noqa: ARG001
    """Flows that are called inside run in this process and are not recorded, even where a system runs.

    server_startup_timeout: has no effect, no server is started.
    """
    before = os.environ.get(_OFFLINE)
    os.environ[_OFFLINE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = before
