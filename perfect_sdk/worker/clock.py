"""A clock that also runs while the machine sleeps, unlike `time.monotonic()` on Linux."""

import time


def boot_time() -> float:
    """Seconds since some fixed instant; never goes back."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()
