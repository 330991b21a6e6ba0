"""`cache_policy=INPUTS`: the same inputs give the recorded result, in other runs too; the state is named Cached."""

import uuid

from prefect import flow, task
from prefect.cache_policies import INPUTS

computed = []
SALT = uuid.uuid4().hex


@task(cache_policy=INPUTS)
def costly(x: int, salt: str):
    computed.append(x)
    return x * 2


@flow
def main(x: int):
    state = costly(x, SALT, return_state=True)
    return state.name, state.result()


def check():
    assert main(1) == ("Completed", 2)
    assert main(1) == ("Cached", 2)
    assert main(2) == ("Completed", 4)
    assert computed == [1, 2]
