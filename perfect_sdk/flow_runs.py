"""Runs, as users of Prefect import what is done with them."""

from perfect_sdk.elsewhere import names_of
from perfect_sdk.waiting.pausing import (
    apause_flow_run,
    aresume_flow_run,
    asuspend_flow_run,
    pause_flow_run,
    resume_flow_run,
    suspend_flow_run,
)

__all__ = [
    "apause_flow_run",
    "aresume_flow_run",
    "asuspend_flow_run",
    "pause_flow_run",
    "resume_flow_run",
    "suspend_flow_run",
]

__getattr__ = names_of(__name__)
