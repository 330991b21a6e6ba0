"""What writers and a reader ask of a side, and how long it took: the same client and the same counting for every side."""

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness import Api, percentile

WRITERS = 8
READS = 60


def refused_percent(port: int, path: str, body: Any, count: int) -> float:
    """Of `count` writes, by WRITERS at once that do not ask twice. Refused is whatever is not accepted: any other status
    than 2xx, and a connection that ends without an answer.

    After a refusal the connection is a new one: a server may close the old one without saying so, and what is then sent
    on it was not refused but never asked.
    """

    def write(_: int) -> int:
        api, refused = Api(port), 0
        for _ in range(count // WRITERS):
            try:
                is_accepted = 200 <= api.call("POST", path, body)[0] < 300
            except (OSError, http.client.HTTPException, ValueError):  # ValueError: the answer is not JSON
                is_accepted = False
            if not is_accepted:
                refused += 1
                api = Api(port)
        return refused

    with ThreadPoolExecutor(WRITERS) as writers:
        refused = sum(writers.map(write, range(WRITERS)))
    return 100 * refused / (count // WRITERS * WRITERS)


def read_p95_ms(read: Callable[[], object]) -> float:
    """Of READS reads, one after the other."""
    took_ms = []
    for _ in range(READS):
        before = time.perf_counter()
        read()
        took_ms.append((time.perf_counter() - before) * 1000)
    return percentile(took_ms, 95)
