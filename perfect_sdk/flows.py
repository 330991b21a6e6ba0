"""Flows, as users of Prefect import them."""

from perfect_sdk.flow import Flow, flow
from perfect_sdk.loading import load_flows

__all__ = ["Flow", "flow", "load_flows"]
