"""Pydantic models as parameters: a dictionary becomes the model, wrong ones are refused."""

from prefect import flow
from prefect.exceptions import ParameterTypeError
from pydantic import BaseModel


class Address(BaseModel):
    street: str
    number: int = 1


@flow
def deliver(to: Address, others: list[Address] | None = None):
    return to.number, to.street, len(others or [])


def check():
    assert deliver({"street": "Main St", "number": "7"}) == (7, "Main St", 0)
    assert deliver(Address(street="Elm"), [{"street": "Oak"}]) == (1, "Elm", 1)
    error = deliver({"number": 1}, return_state=True).result(raise_on_failure=False)
    assert isinstance(error, ParameterTypeError)
