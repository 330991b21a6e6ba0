"""`persist_result=True` on a flow: its tasks keep theirs; `RUN_ID` makes equal calls of one run one."""

from prefect import flow, task
from prefect.cache_policies import DEFAULT

computed = []


@task
def costly(x):
    computed.append(x)
    return x


@task(persist_result=False)
def cheap(x):
    computed.append(("cheap", x))
    return x


@flow(persist_result=True)
def main():
    # With results persisted, the default policy applies: inputs, task source and the run.
    return [costly(1), costly(1), costly(2), cheap(1), cheap(1)]


def check():
    assert DEFAULT is not None
    assert main() == [1, 1, 2, 1, 1]
    assert computed == [1, 2, ("cheap", 1), ("cheap", 1)]
    main()
    assert computed.count(1) == 2
