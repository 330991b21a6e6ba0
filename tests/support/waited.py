"""Of a run that waits: its steps, what it waits for, and an input that people are asked for."""

from collections import Counter

from perfect_schemas import events as e
from perfect_sdk import task
from perfect_sdk.input import RunInput
from perfect_sdk.testing import FlowResult

calls: Counter[str] = Counter()


@task
def step(name: str) -> str:
    calls[name] += 1
    return name


class Approval(RunInput):
    approved: bool
    comment: str = ""


def last_wait(result: FlowResult) -> e.RunSuspended:
    return [event for event in result.events if isinstance(event, e.RunSuspended)][-1]
