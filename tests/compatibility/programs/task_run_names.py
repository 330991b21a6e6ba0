"""`task_run_name`: a template of the arguments, or a function that may read the runtime."""

import datetime

from prefect import flow, task
from prefect.runtime import task_run


def generate_task_name():
    parameters = task_run.parameters
    return f"{task_run.task_name}-with-{parameters['name']}-and-{parameters['limit']}"


@task(name="My Example Task", task_run_name="hello-{name}-on-{date:%A}")
def by_template(name, date):
    return task_run.name


@task(name="My Example Task", task_run_name=generate_task_name)
def by_function(name, limit=100):
    return task_run.name


@flow
def main():
    return [by_template("marvin", datetime.datetime(2026, 2, 2)), by_function("marvin")]


def check():
    assert main() == ["hello-marvin-on-Monday", "My Example Task-with-marvin-and-100"]
