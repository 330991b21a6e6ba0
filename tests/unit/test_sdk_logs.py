"""Log lines: the run's logger, the standard library's, print; per configuration; with failing variables redacted."""

import logging
import sys
import threading

import pytest

from perfect_sdk import disable_run_logger, flow, get_run_logger, task, update_progress
from perfect_sdk.exceptions import MissingContextError
from perfect_sdk.testing import run_flow, run_flow_async


@task
def talks() -> None:
    get_run_logger().debug("task debug")
    get_run_logger().info("task %s", "info")
    logging.getLogger("library").info("library info")
    logging.getLogger("library").warning("library warning")
    print("printed", 1, sep="-")
    print("to stderr", file=sys.stderr)


@flow
def main() -> None:
    get_run_logger().info("flow info")
    talks()
    talks.submit().wait()


def lines(result):
    return [(line.level, line.logger, line.message) for line in result.logs]


def test_development(capsys):
    result = run_flow(main)
    one = [
        (20, "perfect.task_runs", "task info"),
        (20, "library", "library info"),
        (30, "library", "library warning"),
        (20, "print", "printed-1"),
    ]
    assert lines(result) == [(20, "perfect.flow_runs", "flow info"), *one, *one]
    assert [line.task_key for line in result.logs] == [None] + ["talks-0"] * 4 + ["talks-1"] * 4
    assert result.logs[1].task_run_id == result.tasks[0].id
    assert capsys.readouterr().out == "printed-1\nprinted-1\n"


def test_debug_and_release():
    debug = lines(run_flow(main, configuration="debug"))
    assert (10, "perfect.task_runs", "task debug") in debug
    release = lines(run_flow(main, configuration="release"))
    assert release == [(30, "library", "library warning")] * 2


def test_log_prints_can_be_switched():
    @task(log_prints=True)
    def loud() -> None:
        print("loud")

    @flow(log_prints=False)
    def quiet() -> None:
        print("quiet")
        loud()

    assert [line.message for line in run_flow(quiet).logs] == ["loud"]
    assert run_flow(quiet, configuration="release").logs == []


def test_lines_outside_of_a_run_go_where_they_went_before(capsys):
    level = logging.root.level
    handlers = list(logging.root.handlers)
    printing = print
    seen = []

    @flow
    def waits() -> None:
        thread = threading.Thread(target=lambda: (logging.getLogger("x").error("outside"), seen.append(1)))
        thread.start()
        thread.join()

    result = run_flow(waits)
    assert seen == [1]
    assert result.logs == []
    assert logging.root.level == level
    assert logging.root.handlers == handlers
    assert print is printing


def test_the_logger_needs_a_run():
    with pytest.raises(MissingContextError, match="get_run_logger"):
        get_run_logger()
    with disable_run_logger():
        get_run_logger().info("nowhere")

    @flow
    def silent() -> None:
        with disable_run_logger():
            get_run_logger().warning("not seen")
            print("not seen")
        get_run_logger().info("seen")

    assert [line.message for line in run_flow(silent).logs] == ["seen"]


def test_exceptions_are_logged_once_with_their_traceback():
    @task
    def bad() -> None:
        raise ValueError("broken")

    @flow
    def fails() -> None:
        try:
            bad()
        except ValueError:
            get_run_logger().exception("caught")
            raise

    result = run_flow(fails)
    task_line, own, flow_line = [line.message for line in result.logs if line.level == 40]
    assert task_line.startswith("task 'bad-0' failed: ValueError: broken\nTraceback")
    assert "perfect_sdk/" not in task_line
    assert own.startswith("caught\nTraceback")
    assert flow_line == "flow 'fails' failed: ValueError: broken"


def test_debug_shows_the_variables_of_the_failing_frame_without_secrets():
    @task
    def bad(password: str) -> None:
        api_key = "k-123"
        rows = 3
        config = {"db_password": "hunter2", "host": "h", "url": "postgres://me:hunter3@h/db"}
        raise ValueError(rows + len(api_key) + len(config))

    @flow
    def fails() -> None:
        bad("hunter1")

    variables = run_flow(fails, configuration="debug").tasks[0].error.variables
    assert variables["rows"] == "3"
    assert variables["password"] == variables["api_key"] == "<redacted>"
    assert "'host': 'h'" in variables["config"]
    assert not any(secret in str(variables) for secret in ("hunter1", "hunter2", "hunter3", "k-123"))
    assert run_flow(fails).tasks[0].error.variables is None


async def test_concurrent_runs_keep_their_lines_apart():
    import asyncio

    @task
    async def says(n: int) -> None:
        await asyncio.sleep(0)
        logging.getLogger("x").info("line of %s", n)

    @flow
    async def one(n: int) -> None:
        await says(n)

    results = await asyncio.gather(*[run_flow_async(one, {"n": n}) for n in range(5)])
    assert [[line.message for line in result.logs] for result in results] == [
        [f"line of {n}"] for n in range(5)
    ]


def test_progress():
    @task
    def reports() -> None:
        update_progress(0.25)
        with pytest.raises(ValueError, match="from 0 to 1"):
            update_progress(25)

    @flow
    def main() -> None:
        update_progress(0.1)
        reports()

    result = run_flow(main)
    assert result.state == "COMPLETED"
    (report,) = result.live
    assert (report["fraction"], report["task_key"]) == (0.25, "reports-0")
    with pytest.raises(MissingContextError):
        update_progress(0.5)
