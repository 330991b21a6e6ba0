"""Schedules, as users of Prefect import them."""

from perfect_sdk.schedule import Cron, Interval, Once, RRule, Schedule

__all__ = ["Cron", "Interval", "Once", "RRule", "Schedule"]
