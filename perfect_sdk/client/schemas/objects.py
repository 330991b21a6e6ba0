"""Runs and states, as users of Prefect import them: what hooks get, and contexts show."""

from perfect_sdk.run_context import TaskRun
from perfect_sdk.runs import FlowRun
from perfect_sdk.states import State, StateType

__all__ = ["FlowRun", "State", "StateType", "TaskRun"]
