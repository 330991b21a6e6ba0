"""Why a run waits: the engine knows more of it than the run's own events tell."""

from typing import Any

import msgspec

from perfect_gateway.parts import Parts
from perfect_schemas import queries, subjects
from perfect_schemas.errors import PerfectError

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
WITHIN_S = 0.5
TRY_S = 0.25


async def waiting_for(parts: Parts, run_id: str) -> str | None:
    """The engine's sentence; None when it has none, or does not answer at once."""
    asked = queries.RunDetail(run_id=run_id)
    try:
        reply = await parts.bus.ask(subjects.query("waiting"), asked, timeout_s=WITHIN_S, try_s=TRY_S)
    except PerfectError:
        return None
    return msgspec.json.decode(reply.value, type=str) or None


async def explain(parts: Parts, run: dict[str, Any]) -> dict[str, Any]:
    """The run's shape with the better sentence, if it is one that waits."""
    if run["state"] not in ENDED:
        sentence = await waiting_for(parts, run["id"])
        if sentence is not None:
            run["waiting_for"] = sentence
    return run


async def explained(parts: Parts, run: bytes) -> bytes:
    """The run as JSON, likewise."""
    found: dict[str, Any] = msgspec.json.decode(run)
    if found["state"] in ENDED:
        return run
    return msgspec.json.encode(await explain(parts, found))
