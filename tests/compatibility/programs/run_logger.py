"""`get_run_logger` in flows and tasks; elsewhere it raises; `disable_run_logger` for tests of a task's function."""

from prefect import flow, get_run_logger, task
from prefect.exceptions import MissingContextError
from prefect.logging import disable_run_logger

SAYS = ["INFO level log message from a task", "WARNING level log message from a flow"]


@task(name="log-example-task")
def logger_task():
    get_run_logger().info("INFO level log message from a %s", "task")
    return 42


@flow(name="log-example-flow")
def logger_flow():
    logger = get_run_logger()
    logger.warning("WARNING level log message from a flow")
    return logger_task()


def check():
    assert logger_flow() == 42
    try:
        get_run_logger()
    except MissingContextError:
        pass
    else:
        raise AssertionError("there is no run here")
    with disable_run_logger():
        assert logger_task.fn() == 42
