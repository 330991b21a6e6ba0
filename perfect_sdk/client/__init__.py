"""Where users of Prefect look for `schemas`."""

from perfect_sdk.elsewhere import names_of

__getattr__ = names_of(__name__)
