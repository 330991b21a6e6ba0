"""Flows that show things, load secrets, and keep to rates."""

import time

from perfect_sdk import flow, get_run_logger, runtime, tags, task
from perfect_sdk.artifacts import (
    Artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from perfect_sdk.blocks.system import Secret
from perfect_sdk.concurrency.sync import rate_limit
from perfect_sdk.variables import Variable


@task(tags=["own"])
def moves() -> str:
    bar = create_progress_artifact(10, key="bar")
    update_progress_artifact(bar, 100, description="done")
    return runtime.task_run.name


@task
def opens(name: str) -> int:
    password = Secret.load(name).get()
    get_run_logger().info("it is %s", password)
    print("printed", password)
    return len(password)


@task
def fails(name: str) -> None:
    raise RuntimeError("cannot open with " + Secret.load(name).get())


@flow(log_prints=True)
def shows(size: str = "small") -> dict:
    create_markdown_artifact(
        "**hello** <script>alert(1)</script>", key="greeting", description="a *greeting*"
    )
    create_table_artifact([{"city": "Rome", "n": 1}], key="cities")
    if size == "large":
        create_markdown_artifact("x" * 300_000, key="large")
    with tags("a", "b"):
        name = moves()
    shown = Artifact.get("greeting")
    return {
        "name": name,
        "size": Variable.get("size", 1),
        "found": shown.data,
        "url": runtime.flow_run.ui_url,
    }


@flow(log_prints=True)
def opened(name: str = "door") -> int:
    length = opens(name)
    try:
        fails(name)
    except RuntimeError as error:
        print("caught", error)
    return length


@flow
def paced(n: int = 4) -> float:
    begin = time.monotonic()
    for _ in range(n):
        rate_limit("api", strict=True)
    return time.monotonic() - begin
