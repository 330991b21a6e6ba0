"""Moments as people write them: ISO 8601, a day, a time of today, or how long ago. Without a zone the local one is meant."""

import argparse
import re
from datetime import datetime, time, timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def span(text: str) -> timedelta | None:
    """`90s`, `30m`, `1h30m`, `2d`, `1w`; None for what is no such thing."""
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())


def moment(text: str, now: datetime | None = None) -> str:
    """An argparse type for the past: `2h` is two hours ago. ISO 8601 with its zone."""
    now = now or datetime.now().astimezone()
    ago = span(text.removesuffix(" ago").strip())
    return (now - ago if ago is not None else _instant(text, now)).isoformat()


def coming(text: str, now: datetime | None = None) -> str:
    """An argparse type for the future: `2h` and `+2h` are in two hours. ISO 8601 with its zone."""
    now = now or datetime.now().astimezone()
    ahead = span(text.removeprefix("in ").removeprefix("+").strip())
    return (now + ahead if ahead is not None else _instant(text, now)).isoformat()


def _instant(text: str, now: datetime) -> datetime:
    """Raises ArgumentTypeError."""
    days = {"today": 0, "yesterday": 1, "tomorrow": -1}
    if text == "now":
        return now
    if text in days:
        return datetime.combine((now - timedelta(days=days[text])).date(), time()).astimezone()
    try:
        if re.fullmatch(r"\d{1,2}:\d\d(:\d\d)?", text):
            return datetime.combine(now.date(), time.fromisoformat(text.zfill(5))).astimezone()
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write it as 2026-05-01, 2026-05-01T12:00, 09:30, today, or 90s, 30m, 2h, 1d"
        ) from None
    return found if found.tzinfo is not None else found.astimezone()
