"""Flows, as users of Prefect import them."""

from perfect_sdk.elsewhere import names_of
from perfect_sdk.flow import Flow, flow
from perfect_sdk.serving.loading import load_flows
from perfect_sdk.serving.serve import aserve, serve

__all__ = ["Flow", "aserve", "flow", "load_flows", "serve"]

__getattr__ = names_of(__name__)
