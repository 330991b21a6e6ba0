"""`flow.serve(name=…)` makes a deployment of a flow; `run_deployment` runs it and waits for its end."""

import os
import subprocess
import sys
import time

from prefect import flow, task
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

NEEDS = "system"
AS_SCRIPT = True


@task
def greet(name: str) -> str:
    return f"hello {name}"


@flow(persist_result=True)
def served(name: str = "nobody", times: int = 1):
    if times < 0:
        raise ValueError("less than nothing")
    return [greet(name)] * times


def started():
    deadline = time.monotonic() + 60
    while True:
        try:
            return run_deployment(name="served/compat", timeout=0, parameters={"times": 0})
        except Exception as error:
            if time.monotonic() > deadline:
                raise
            there = error
            assert isinstance(there, (ObjectNotFound, Exception))
            time.sleep(0.2)


def check():
    server = subprocess.Popen([sys.executable, __file__, "serve"], env=os.environ)
    try:
        assert started().state.is_final() in (True, False)
        done = run_deployment(name="served/compat", parameters={"times": 2}, tags=["more"], poll_interval=1)
        assert done.state.is_completed(), done.state
        assert done.parameters["times"] == 2
        # Parameters of the deployment are defaults of its runs, and so are its tags.
        assert done.parameters["name"] == "somebody"
        assert {"of deployment", "more"} <= set(done.tags)
        failed = run_deployment(name="served/compat", parameters={"times": -1}, poll_interval=1)
        assert failed.state.is_failed()
        unfinished = run_deployment(name="served/compat", timeout=0)
        assert unfinished.id
        child = parent()
        assert child.state.is_completed()
        assert child.name == "named by its parent"
    finally:
        server.terminate()
        server.wait(30)


@flow
def parent():
    return_value = run_deployment(
        name="served/compat", parameters={"times": 1}, flow_run_name="named by its parent", poll_interval=1
    )
    return Holder(return_value)


class Holder:
    """Not a state or future: what a flow returns of those decides its own state."""

    def __init__(self, run):
        self.state, self.name = run.state, run.name


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        served.serve(name="compat", parameters={"name": "somebody"}, tags=["of deployment"])
    else:
        check()
