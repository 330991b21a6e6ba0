"""Hooks of a flow: called with the flow, its run and the state it comes into."""

from prefect import flow

calls = []


def completed(flow, flow_run, state):
    calls.append(("completed", flow.name, state.name, bool(flow_run.name)))


def failed(flow, flow_run, state):
    calls.append(("failed", flow.name, state.name, bool(flow_run.id)))


def running(flow, flow_run, state):
    calls.append(("running", flow.name, state.name, True))


@flow(on_completion=[completed], on_failure=[failed], on_running=[running])
def hooked(fails: bool = False):
    calls.append("body")
    if fails:
        raise ValueError


@flow(retries=1)
def decorated():
    raise ValueError


@decorated.on_failure
def after_all_tries(flow, flow_run, state):
    calls.append("after all tries")


@decorated.on_failure
async def also_async(flow, flow_run, state):
    calls.append("async")


def check():
    hooked()
    assert calls == [
        ("running", "hooked", "Running", True),
        "body",
        ("completed", "hooked", "Completed", True),
    ]
    calls.clear()
    assert hooked(fails=True, return_state=True).is_failed()
    assert [call if isinstance(call, str) else call[0] for call in calls] == ["running", "body", "failed"]
    calls.clear()
    decorated(return_state=True)
    # On failure means: after the last try. In the order in which they were added.
    assert calls == ["after all tries", "async"]
