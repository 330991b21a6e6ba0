"""Flows that go on when the test says so: their tasks wait at named pipes, which the test writes to."""

from pathlib import Path
from typing import Literal

from perfect_sdk import flow, get_run_logger, task


@task(weight=1)
def step(folder: str, n: int) -> int:
    """Waits, without polling, until somebody writes to `gate-<n>`."""
    said = Path(folder, f"gate-{n}").read_text()
    get_run_logger().info("step %d: %s", n, said)
    return n


@task
def last(total: int) -> str:
    return f"the total is {total}"


@flow(name="Gated steps", tags=["gated"])
def gated(folder: str, count: int = 3) -> str:
    """Several steps, one after the other, each of which waits for a sign."""
    return last(sum(step(folder, n) for n in range(count)))


@flow(name="Greeting")
def greeting(
    name: str, times: int = 1, loud: bool = False, style: Literal["plain", "formal"] = "plain"
) -> str:
    """Greets somebody a number of times."""
    if times < 0:
        raise ValueError("times must not be negative")
    words = "Dear" if style == "formal" else "Hello"
    text = " ".join([f"{words} {name}"] * times)
    get_run_logger().info("%s", text)
    return text.upper() if loud else text


@task(retries=1, retry_delay_seconds=0.05)
def divide(dividend: float, divisor: float) -> float:
    return dividend / divisor


@flow(name="Division")
def division(dividend: float = 1.0, divisor: float = 0.0) -> float:
    """Divides; by nothing, unless told otherwise."""
    get_run_logger().warning("dividing by %s", divisor)
    return divide(dividend, divisor)
