"""Runs and states, as users of Prefect import them."""

from perfect_sdk.client.schemas.objects import FlowRun, State, StateType, TaskRun

__all__ = ["FlowRun", "State", "StateType", "TaskRun"]
