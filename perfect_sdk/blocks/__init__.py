"""Blocks: `Secret` is the one that there is. Other configuration goes into variables."""

from perfect_sdk.blocks.system import Secret
from perfect_sdk.elsewhere import names_of

__all__ = ["Secret"]

__getattr__ = names_of(__name__)
