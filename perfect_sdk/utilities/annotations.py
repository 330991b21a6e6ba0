"""Marks on arguments, as users of Prefect import them."""

from perfect_sdk.annotations import allow_failure, quote, unmapped

__all__ = ["allow_failure", "quote", "unmapped"]
