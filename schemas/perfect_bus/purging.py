"""What leaves a stream before its time, and what that leaves behind: holes, and fewer subjects."""

import json
from typing import TYPE_CHECKING, Any

from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from perfect_schemas.errors import BusUnavailable, Failed

if TYPE_CHECKING:
    from perfect_bus.bus import Bus

TIMEOUT_S = 5.0


async def purge(bus: "Bus", stream: str, subject: str, *, through: int) -> int:
    """Remove the messages on `subject` up to the sequence `through`. Returns how many there were; doing it again does
    no harm. Raises BusUnavailable.
    """
    answer = await _ask(bus, f"$JS.API.STREAM.PURGE.{stream}", {"filter": subject, "seq": through + 1})
    return answer.get("purged", 0)


async def subjects_on(bus: "Bus", stream: str, subject: str) -> set[str]:
    """The subjects that match `subject` and hold a message. Raises BusUnavailable."""
    found: set[str] = set()
    while True:  # the server answers 100,000 at a time
        request = {"subjects_filter": subject, "offset": len(found)}
        answer = await _ask(bus, f"$JS.API.STREAM.INFO.{stream}", request)
        some = answer["state"].get("subjects") or {}
        found.update(some)
        if not some or len(found) >= answer.get("total", 0):
            return found


async def missing(bus: "Bus", stream: str, *, after: int, through: int) -> int:
    """How many of the sequences after `after` up to `through`, which the stream has reached, hold no message (any
    more). Raises BusUnavailable.
    """
    if through <= after:
        return 0
    request = {"seq": after + 1, "batch": 1, "next_by_subj": ">"}
    msg = await _request(bus, f"$JS.API.DIRECT.GET.{stream}", request)
    headers = msg.headers or {}
    there = 0 if "Status" in headers else 1 + int(headers["Nats-Num-Pending"])
    return max(through - after - there, 0)


async def _ask(bus: "Bus", subject: str, request: dict[str, Any]) -> dict[str, Any]:
    answer = json.loads((await _request(bus, subject, request)).data)
    if "error" in answer:
        raise Failed(f"{subject} was refused: {answer['error'].get('description', answer['error'])}")
    return answer


async def _request(bus: "Bus", subject: str, request: dict[str, Any]) -> Any:
    try:
        return await bus.nc.request(subject, json.dumps(request).encode(), timeout=TIMEOUT_S)
    except (NatsTimeout, NoRespondersError, TimeoutError) as error:
        raise BusUnavailable(f"{subject} is not answered") from error
