"""`flow_run_name`: a template of the parameters, or a function that may read the runtime."""

import datetime

from prefect import flow
from prefect.runtime import flow_run


def generate_flow_run_name():
    parameters = flow_run.parameters
    return f"{flow_run.flow_name}-with-{parameters['name']}-and-{parameters['limit']}"


@flow(flow_run_name="{name}-on-{date:%A}")
def by_template(name: str, date: datetime.datetime):
    return flow_run.name


@flow(flow_run_name=generate_flow_run_name)
def by_function(name: str, limit: int = 100):
    return flow_run.name


def check():
    assert by_template(name="marvin", date=datetime.datetime(2026, 2, 2)) == "marvin-on-Monday"
    assert by_function(name="marvin") == "by-function-with-marvin-and-100"
