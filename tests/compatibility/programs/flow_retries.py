"""`@flow(retries=…)`: the whole flow is tried again; `run_count` tells which time it is."""

from prefect import flow
from prefect.runtime import flow_run

counts = []


@flow(retries=3, retry_delay_seconds=0)
def unstable():
    counts.append(flow_run.run_count)
    if len(counts) < 3:
        raise ConnectionError("not yet")
    return "done"


def check():
    assert unstable() == "done"
    assert counts == [1, 2, 3]
