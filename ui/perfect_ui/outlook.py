"""When a run will be done, in words. The browser's side of the same, as time passes, is `src/outlook.ts`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from perfect_ui.formats import duration, instant


def outlook(run: dict[str, Any], now: str | None = None) -> str:
    """`done in about 12 s, 90 %: within 20 s`. `run`: of the API; without an outlook, how long it usually takes."""
    known = run.get("outlook")
    if not known:
        return f"usually {duration(run['expected_ms'])}" if run.get("expected_ms") else ""
    if not run.get("eta_p50"):
        return f"takes longer than each of the last {len(known['remaining'])} runs"
    at = instant(now) if now else datetime.now(UTC)
    half, nearly = ((instant(run[name]) - at).total_seconds() * 1000 for name in ("eta_p50", "eta_p90"))
    return f"done in about {duration(half)}, 90 %: within {duration(nearly)}"
