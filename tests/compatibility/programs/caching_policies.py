"""Policies add up and lose inputs: `TASK_SOURCE + INPUTS`, `INPUTS - "name"`; NO_CACHE; refresh_cache."""

import uuid

from prefect import flow, task
from prefect.cache_policies import INPUTS, NO_CACHE, RUN_ID, TASK_SOURCE

computed = []
SALT = uuid.uuid4().hex


@task(cache_policy=TASK_SOURCE + INPUTS)
def of_both(x, salt):
    computed.append(("both", x))


@task(cache_policy=INPUTS - "verbose")
def without(x, salt, verbose):
    computed.append(("without", verbose))


@task(cache_policy=NO_CACHE)
def never(x, salt):
    computed.append(("never", x))


@task(cache_policy=INPUTS, refresh_cache=True)
def anew(x, salt):
    computed.append(("anew", x))


@task(cache_policy=INPUTS + RUN_ID)
def once_a_run(x, salt):
    computed.append(("run", x))


@flow
def main():
    for verbose in (True, False):
        of_both(1, SALT)
        without(1, SALT, verbose)
        never(1, SALT)
        anew(1, SALT)
        once_a_run(1, SALT)


def check():
    main()
    assert sorted(computed) == sorted(
        [("both", 1), ("without", True), ("never", 1), ("never", 1), ("anew", 1), ("anew", 1), ("run", 1)]
    )
    computed.clear()
    main()
    assert ("run", 1) in computed
    assert ("both", 1) not in computed
