"""A transaction with a key is committed once: later ones find the record and skip the work."""

import uuid

from prefect import flow
from prefect.transactions import transaction

done = []
KEY = f"download-{uuid.uuid4().hex}"


@flow
def pipeline():
    with transaction(key=KEY) as txn:
        if txn.is_committed():
            return "was there"
        done.append(1)
        txn.stage({"rows": 3})
    return "made"


def check():
    assert pipeline() == "made"
    assert pipeline() == "was there"
    assert done == [1]
