"""Why a run waits: the engine knows more of it than the run's own events tell."""

from typing import Any

import msgspec
from nats.errors import Error as NatsError

from perfect_bus import Bus
from perfect_schemas import queries, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import Reply
from perfect_schemas.states import FINAL_RUN_STATES

WITHIN_S = 0.3
_decode_reply = msgspec.json.Decoder(Reply).decode


async def waiting_for(bus: Bus, run_id: str) -> str | None:
    """The engine's sentence; None when it has none, or does not answer at once. Asked once, never repeated."""
    asked = encode(queries.RunDetail(run_id=run_id))
    try:
        message = await bus.nc.request(subjects.query("waiting"), asked, timeout=WITHIN_S)
        return msgspec.json.decode(_decode_reply(message.data).value, type=str) or None
    except (NatsError, TimeoutError, msgspec.DecodeError):
        return None


async def explain(bus: Bus, run: dict[str, Any]) -> dict[str, Any]:
    """The run's shape with the better sentence, if it is one that waits."""
    if run["state"] not in FINAL_RUN_STATES:
        sentence = await waiting_for(bus, run["id"])
        if sentence is not None:
            run["waiting_for"] = sentence
    return run


async def explained(bus: Bus, run: bytes) -> bytes:
    """The run as JSON, likewise."""
    found: dict[str, Any] = msgspec.json.decode(run)
    if found["state"] in FINAL_RUN_STATES:
        return run
    return msgspec.json.encode(await explain(bus, found))
