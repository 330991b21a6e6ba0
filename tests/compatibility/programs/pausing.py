"""`pause_flow_run` waits until somebody resumes the run, here with input of a declared type."""

import threading
import time

from prefect import flow, pause_flow_run, resume_flow_run, task
from prefect.input import RunInput
from prefect.runtime import flow_run

NEEDS = "system"
there = {}


class Approval(RunInput):
    approved: bool
    comment: str = "none"


@task
def before():
    there["id"] = flow_run.id


@flow(log_prints=True)
def main():
    before()
    approval = pause_flow_run(wait_for_input=Approval, timeout=60, poll_interval=1)
    return approval.approved, approval.comment


def approve():
    while True:
        time.sleep(0.2)
        if "id" not in there:
            continue
        try:
            resume_flow_run(there["id"], run_input={"approved": True})
        except Exception as error:  # it does not wait yet
            there["error"] = error
            continue
        return


def check():
    somebody = threading.Thread(target=approve)
    somebody.start()
    assert main() == (True, "none")
    somebody.join()
