"""`cache_key_fn(context, parameters)`, `task_input_hash` and `cache_expiration`."""

import datetime
import time
import uuid

from prefect import flow, task
from prefect.tasks import task_input_hash

computed = []
SALT = uuid.uuid4().hex


def key(context, parameters):
    return f"{SALT}-{context.task.name}-{parameters['x'] % 2}"


@task(cache_key_fn=key)
def parity(x):
    computed.append(x)
    return "odd" if x % 2 else "even"


@task(cache_key_fn=task_input_hash, cache_expiration=datetime.timedelta(seconds=0.3))
def short_lived(salt):
    computed.append("short")


@flow
def main():
    first = [parity(1), parity(2), parity(3)]
    short_lived(SALT)
    short_lived(SALT)
    time.sleep(0.4)
    short_lived(SALT)
    return first


def check():
    assert main() == ["odd", "even", "odd"]
    assert computed == [1, 2, "short", "short"]
