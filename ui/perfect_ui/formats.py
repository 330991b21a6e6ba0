"""Numbers, durations and times as people read them. The browser's side of the same is `src/format.ts`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

NOTHING = "–"

FINAL_STATES = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED", "CACHED", "SKIPPED"})
_TONES = {
    "SCHEDULED": "wait", "PENDING": "wait", "PAUSED": "pause", "RUNNING": "run", "RETRYING": "warn",
    "CANCELLING": "warn", "COMPLETED": "good", "CACHED": "good", "FAILED": "bad", "CRASHED": "bad",
    "CANCELLED": "mute", "SKIPPED": "mute",
}  # fmt: skip


def tone(state: str) -> str:
    """The colour family of a state, as the style sheet names it; an unknown state is neutral."""
    return _TONES.get(state, "mute")


def is_final(state: str) -> bool:
    return state in FINAL_STATES


def duration(milliseconds: float | None) -> str:
    """`< 1 ms`, `350 ms`, `4.2 s`, `3m 05s`, `2h 14m`, `3d 4h`. Most durations are whole ms: 0 is one that was shorter."""
    if milliseconds is None:
        return NOTHING
    ms = max(0.0, float(milliseconds))
    if ms < 1:
        return "< 1 ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60}m {seconds % 60:02d}s"
    minutes = seconds // 60
    if minutes < 1440:
        return f"{minutes // 60}h {minutes % 60:02d}m"
    return f"{minutes // 1440}d {minutes // 60 % 24}h"


def percent(value: float | None) -> str:
    """0-100 → `42%`. Never rounded up to 100: that says "done"."""
    if value is None:
        return NOTHING
    return f"{int(min(max(value, 0), 100))}%"


def instant(text: str | datetime) -> datetime:
    """An ISO 8601 string of the API as an aware datetime in UTC; such a one as it is."""
    if isinstance(text, datetime):
        return text
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def milliseconds_between(start: str | None, end: str | None) -> int | None:
    if not start or not end:
        return None
    return max(0, round((instant(end) - instant(start)).total_seconds() * 1000))


def time_tag(text: str | None, style: str = "relative") -> Markup:
    """`<time>`: UTC in the HTML, the browser's zone once the script runs, UTC on hover.

    `style` is `relative` ("3 min ago", ticking), `away` ("in 4m 05s", ticking), `full` (date and time) or `clock` (time with ms, for logs).
    """
    if not text:
        return escape(NOTHING)
    moment = instant(text)
    if style == "clock":
        shown = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    else:
        shown = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    iso = moment.isoformat().replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-style="{}">{}</time>').format(iso, style, shown)


def local_time(text: str) -> str:
    """A local time with its offset, as the API says it: `Sun 2026-03-29 03:00:00 +02:00`."""
    return f"{datetime.fromisoformat(text):%a %Y-%m-%d %H:%M:%S} {text[-6:]}"


def task_number(key: str) -> int:
    """Which call of its task in its scope a task run is, from 1: `train-0` is the first."""
    number = key.rpartition("-")[2]
    return int(number) + 1 if number.isdecimal() else 1


def log_source(log: dict[str, Any]) -> str:
    """Where a log line comes from: the task's key, the user's own logger, or the flow itself."""
    source = log.get("task_key") or log.get("logger") or ""
    return "flow" if source.startswith("perfect.flow_run") else source


def short_id(identifier: str) -> str:
    """The last eight characters: a UUIDv7 begins with its time, so its end tells runs apart."""
    return identifier[-8:]


def compact_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str, separators=(", ", ": "))


def indented_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str, indent=2)


def number(value: float | None) -> str:
    """Thousands apart by a thin space."""
    return NOTHING if value is None else f"{value:,.0f}".replace(",", "\u202f")


def size(count: int | None) -> str:
    """Bytes as people read them: `512 B`, `3.4 KB`, `1.2 GB`; a KB has 1024."""
    if count is None:
        return NOTHING
    value = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def shorter(text: str, most: int = 400) -> str:
    """The beginning of what is longer than `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def signed(milliseconds: float | None) -> str:
    """A difference of durations: `+4.2 s`, `−350 ms`, `±0` below a millisecond."""
    if milliseconds is None:
        return NOTHING
    if abs(milliseconds) < 1:
        return "±0"
    return f"{'+' if milliseconds > 0 else '−'}{duration(abs(milliseconds))}"
