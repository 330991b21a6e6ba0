"""`prefect_test_harness` runs flows in a test without anything else running."""

from prefect import flow
from prefect.testing.utilities import prefect_test_harness


@flow
def my_favorite_flow():
    return 42


def check():
    with prefect_test_harness():
        assert my_favorite_flow() == 42
