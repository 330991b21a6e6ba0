"""Flows with tasks that other workers run. Bodies leave a line in a file each time they begin: name, process, number."""

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime

from perfect_sdk import flow, get_run_logger, run_deployment, tags, task


def trace(path: str, text: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{os.getpid()} {text}\n".encode())
    finally:
        os.close(descriptor)


def until(gate: str) -> None:
    """Until the file is there."""
    while not os.path.exists(gate):
        time.sleep(0.02)


@dataclass
class Point:
    x: int
    at: datetime


@task
def here(path: str, n: int) -> int:
    trace(path, f"here-{n}")
    return n


@task(queue="gpu")
def there(path: str, n: int, gate: str = "") -> int:
    trace(path, f"there-{n}")
    if gate:
        until(gate)
    get_run_logger().info("computed %s", n)
    return n * n


@task(queue="gpu")
async def there_async(path: str, n: int) -> int:
    trace(path, f"async-{n}")
    await asyncio.sleep(0.01)
    return n * n


@flow
def mixed(path: str, count: int = 3) -> int:
    return sum(there(path, here(path, n)) for n in range(count))


@flow
async def mixed_async(path: str, count: int = 5) -> int:
    squares = await asyncio.gather(*(there_async(path, n) for n in range(count)))
    return sum(squares) + await there.submit(path, 10)


@flow
def mapped(path: str, count: int = 300, gate: str = "") -> int:
    """The second half of them waits for the gate."""
    gates = [gate if n >= count // 2 else "" for n in range(count)]
    return sum(there.map(path, list(range(count)), gates).result())


@flow
def gated(path: str, gate: str) -> int:
    before = here(path, 1)
    return before + there(path, 7, gate) + here(path, 2)


@task(queue="gpu")
def shaped(point: Point, *more: Point, **named: Point) -> Point:
    assert all(isinstance(one, Point) for one in (point, *more, *named.values()))
    return Point(point.x + len(more) + len(named), point.at)


@task(queue="gpu", result_serializer="pickle")
def pickled(value: set[complex]) -> set[complex]:
    return {one * 1j for one in value}


@task(queue="gpu")
def large(text: str) -> str:
    return text * 2


@flow
def travelling() -> list[object]:
    now = datetime(2026, 5, 1)
    point = shaped(Point(1, now), Point(2, now), named=Point(3, now))
    return [type(point).__name__, point.x, sorted(map(str, pickled({1 + 0j}))), len(large("x" * 300_000))]


@task(queue="gpu")
def opaque(value: object) -> object:
    return value


@task(queue="gpu")
def returns_opaque() -> object:
    return object()


@flow
def unsendable() -> list[str]:
    said = []
    for call in (lambda: opaque(object()), returns_opaque):
        try:
            call()
        except TypeError as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


@task(queue="gpu", retries=2, retry_delay_seconds=0.05)
def fails(path: str, times: int) -> int:
    trace(path, "fails")
    with open(path) as lines:
        if sum(line.split()[1] == "fails" for line in lines) <= times:
            raise KeyError("not yet")
    return times


@flow
def failing(path: str, times: int) -> str:
    try:
        return f"done {fails(path, times)}"
    except KeyError as error:
        return f"caught {error}"


@task(queue="gpu")
def outer(path: str, count: int) -> int:
    trace(path, "outer")
    return sum(here(path, n) for n in range(count)) + there(path, 3)


@flow
def child(path: str, n: int) -> int:
    return there(path, n)


@flow
def nested(path: str) -> list[int]:
    return [outer(path, 3), child(path, 4)]


@task
def fragile(path: str) -> int:
    trace(path, "fragile")
    if not os.path.exists(f"{path}-mended"):
        raise ValueError("broken")
    return 2


@task(queue="gpu")
def around(path: str) -> int:
    trace(path, "around")
    return here(path, 1) + fragile(path)


@flow
def fails_inside(path: str) -> int:
    return around(path)


@task(queue="gpu")
def endless(path: str) -> None:
    trace(path, "endless")
    while True:
        time.sleep(0.02)
        get_run_logger()


@task(queue="gpu")
async def endless_async(path: str) -> None:
    trace(path, "endless")
    try:
        await asyncio.sleep(60)
    finally:
        trace(path, "cleaned-up")


@flow
def without_end(path: str, is_async: bool) -> None:
    if is_async:
        endless_async.submit(path).result()
    else:
        endless(path)


@task(queue="gpu")
def deadly(path: str) -> None:
    trace(path, "deadly")
    os._exit(1)


@flow
def mortal(path: str) -> str:
    try:
        deadly(path)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "survived"


@task(queue="default")
def beside(n: int) -> int:
    return n + 1


@flow
def one_place(n: int = 5) -> int:
    return beside(beside(n))


@task
def inner(n: int) -> int:
    return n


@task(queue="gpu", tags=["own"])
def outer_tagged(n: int) -> int:
    return inner(n) + inner_flow(n)


@task(queue="gpu")
async def outer_tagged_async(n: int) -> int:
    with tags("within"):
        return inner(n)


@flow(tags=["flow"])
def inner_flow(n: int) -> int:
    return inner(n)


@flow
def tagged() -> list[str]:
    with tags("a"):
        future = outer_tagged.submit(1)
    future.wait()
    with tags("own", "b"):
        outer_tagged(2)
        outer_tagged_async.submit(3).wait()
        return run_deployment("inner-flow", {"n": 4}, tags=["given"]).tags


@flow(retries=1)
def tried_again(path: str) -> int:
    good = there(path, 2)
    trace(path, "flow")
    with open(path) as lines:
        if sum(line.split()[1] == "flow" for line in lines) < 2:
            raise ValueError("once more")
    return good


if __name__ == "__main__":
    print(mixed(sys.argv[1], 2))
