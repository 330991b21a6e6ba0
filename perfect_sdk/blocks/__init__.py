"""Blocks: `Secret` is the one that there is. Other configuration goes into variables."""

from perfect_sdk.blocks.system import Secret

__all__ = ["Secret"]
