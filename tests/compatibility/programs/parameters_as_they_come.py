"""`validate_parameters=False`: the flow gets what it was called with."""

from prefect import flow


@flow(validate_parameters=False)
def takes(x: int):
    return x


def check():
    assert takes("3") == "3"
