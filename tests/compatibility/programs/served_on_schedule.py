"""A deployment that is served with a schedule runs by itself, with the schedule's parameters."""

import os
import subprocess
import sys
import time
from pathlib import Path

from prefect import flow, runtime
from prefect.schedules import Interval

NEEDS = "system"
AS_SCRIPT = True
RAN = Path(__file__).with_suffix(".ran")


@flow
def ticks(who: str = "nobody", what: str = "nothing"):
    with RAN.open("a") as file:
        file.write(
            f"{runtime.deployment.name} {who} {what} {runtime.flow_run.scheduled_start_time.timestamp()}\n"
        )


def check():
    RAN.write_text("")
    server = subprocess.Popen([sys.executable, __file__, "serve"], env=os.environ)
    try:
        deadline = time.monotonic() + 45
        while RAN.read_text().count("\n") < 2:
            assert time.monotonic() < deadline, RAN.read_text()
            time.sleep(0.1)
    finally:
        server.terminate()
        server.wait(30)
    lines = [line.split() for line in RAN.read_text().splitlines()]
    assert {tuple(line[:3]) for line in lines} == {("by-itself", "schedule", "deployment")}
    instants = [float(line[3]) for line in lines]
    assert len(set(instants)) == len(instants), "each instant runs once"


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        ticks.serve(
            name="by-itself",
            schedules=[Interval(1, timezone="UTC", parameters={"who": "schedule"})],
            parameters={"what": "deployment"},
        )
    else:
        check()
