"""Schedules as data: Cron, Interval and RRule; a deployment takes one or several."""

from datetime import timedelta

from prefect import flow
from prefect.schedules import Cron, Interval, RRule


@flow
def report(day: str = "today"):
    return day


def check():
    nightly = Cron("0 0 * * *", timezone="America/New_York", slug="nightly", parameters={"day": "yesterday"})
    assert (nightly.cron, nightly.timezone, nightly.slug) == ("0 0 * * *", "America/New_York", "nightly")
    often = Interval(timedelta(minutes=10), timezone="UTC")
    assert often.interval == timedelta(minutes=10)
    fridays = RRule("FREQ=WEEKLY;BYDAY=FR", active=False)
    assert (fridays.rrule, fridays.active) == ("FREQ=WEEKLY;BYDAY=FR", False)
    several = report.to_deployment(name="several", schedules=[nightly, often, fridays], tags=["x"])
    assert len(several.schedules) == 3
    assert several.name == "several"
    assert len(report.to_deployment(name="cron", cron="* * * * *").schedules) == 1
    assert len(report.to_deployment(name="interval", interval=60).schedules) == 1
    assert report.to_deployment(name="none").schedules in ([], None)
    assert nightly.parameters == {"day": "yesterday"}
