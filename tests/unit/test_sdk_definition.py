"""What is known of a flow without running it."""

import functools
import re
import types

import pytest

from perfect_schemas import ids
from perfect_sdk import CronSchedule, Interval, flow, task
from perfect_sdk.exceptions import NotSupported


@task(weight=5, estimated_time=3000)
def extract(day: str) -> list[int]:
    """Reads."""
    return [clean(1)]


@task
def clean(n: int) -> int:
    return n


@task
def transform(n: int) -> int:
    return n


@task
def load(n: int) -> None: ...


@task
def unused() -> None: ...


@task(name="By Another Name")
def in_a_list() -> None: ...


@task
def of_a_class() -> None: ...


@task
def deep() -> None: ...


@task
def partial_one() -> None: ...


@task
def last() -> None: ...


STEPS = [in_a_list]
RUN = functools.partial(partial_one)
space = types.SimpleNamespace()
module = types.ModuleType("elsewhere")
module.deep = deep


class Pipeline:
    step = of_a_class

    def run(self) -> None:
        self.step()


def helper(n: int) -> int:
    return sum(transform(each) for each in [n])


@flow
def child(n: int) -> None:
    load(n)


@flow(name="ETL", tags=["nightly"], schedule=CronSchedule("0 0 * * *", timezone="Europe/Rome"))
def etl(day: str = "today") -> None:
    """Every night."""
    rows = extract(day)
    for row in rows:
        helper(row)
    (lambda: child(1))()
    for step in STEPS:
        step()
    Pipeline().run()
    module.deep.submit()
    RUN()
    last()


def test_the_tasks_in_order_of_first_use():
    definition = etl.definition
    assert [task.name for task in definition.tasks] == [
        "extract",
        "clean",
        "transform",
        "child",
        "By Another Name",
        "of_a_class",
        "deep",
        "partial_one",
        "last",
    ]
    first = definition.tasks[0]
    assert (first.weight, first.estimated_time, first.description) == (5.0, 3000, "Reads.")
    assert first.id == ids.task_id(ids.flow_id("ETL"), "extract")


def test_the_rest_of_the_definition():
    definition = etl.definition
    assert (definition.name, definition.description, definition.tags) == ("ETL", "Every night.", ["nightly"])
    assert definition.schedule == "0 0 * * * Europe/Rome"
    assert definition.entrypoint == f"{__name__}:etl"
    assert re.fullmatch(r"[0-9a-f]{12}", definition.flow_version)
    assert etl.version == definition.flow_version
    assert definition.parameters == etl.parameters


def test_closures_and_local_imports():
    @task
    def local_task() -> None: ...

    def local_helper() -> None:
        local_task()

    @flow
    def main() -> None:
        from json import dumps

        dumps(1)
        local_helper()

    assert [task.name for task in main.definition.tasks] == ["local_task"]


def test_recursion_ends():
    @flow
    def again(n: int) -> None:
        if n:
            again(n - 1)

    assert again.definition.tasks == []


def test_the_version_follows_the_code():
    def made(body: str, default: int = 1):
        space: dict[str, object] = {"flow": flow, "task": task}
        exec(
            f"@task\ndef step(): {body}\n@flow\ndef main(n: int = {default}): step()",
            space,
        )
        return space["main"].definition.flow_version

    assert made("return 1") == made("return 1")
    assert made("return 1") != made("return 2")
    assert made("return 1") != made("return 1", default=2)


def test_schedules_are_checked():
    assert str(Interval(60)) == "every 60 s"
    with pytest.raises(NotSupported, match="five fields"):
        CronSchedule("* *")
    with pytest.raises(NotSupported, match="no time zone 'Mars'"):
        CronSchedule("* * * * *", timezone="Mars")
    with pytest.raises(NotSupported, match="longer than 0"):
        Interval(0)
    with pytest.raises(NotSupported, match="schedule="):
        flow(schedule=3)(lambda: None)
