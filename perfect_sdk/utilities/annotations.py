"""Marks on arguments, as users of Prefect import them."""

from perfect_sdk.annotations import allow_failure, quote, unmapped
from perfect_sdk.elsewhere import names_of

__all__ = ["allow_failure", "quote", "unmapped"]

__getattr__ = names_of(__name__)
