"""Spending slots of rates. The engine says at once when they are there; whoever spends waits until then."""

import time
from collections.abc import Iterable

import msgspec

from perfect_schemas import subjects
from perfect_schemas.commands import SpendSlots, Spent
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_sdk.concurrency.slots import AGAIN_S, ANSWER_S, check, holder_of, limits_nothing
from perfect_sdk.context import current
from perfect_sdk.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from perfect_sdk.running.effects import Future, Sleep, Steps

_spent = msgspec.json.Decoder(Spent).decode


def spend(
    names: str | Iterable[str], occupy: int, timeout_seconds: float | None, strict: bool
) -> Steps[None]:
    """Raises AcquireConcurrencySlotTimeoutError as soon as it is known that the slots come too late."""
    wanted = [names] if isinstance(names, str) else list(dict.fromkeys(names))
    check("rate_limit()", wanted, occupy)
    frame = current.get()
    if not wanted:
        return
    if frame is None or not frame.session.journal.is_recorded:
        limits_nothing("rate_limit()", frame, strict=strict)
        return
    frame.check()
    session = frame.session
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        left = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        command = SpendSlots(
            names=wanted, holder=holder_of(frame), occupy=occupy, within_s=left, strict=strict
        )
        asked = session.journal.ask(
            subjects.command("engine", "spend"), command, timeout_s=ANSWER_S, try_s=ANSWER_S
        )
        try:
            answer = _spent(bytes((yield Future(session, asked)).value))
        except NotFound as error:
            if strict:
                raise ConcurrencySlotAcquisitionError(error.detail) from None
            raise
        except ServiceUnavailable:  # the engine is being started again
            yield Future(session, session.journal.after(AGAIN_S))
            if deadline is not None and time.monotonic() >= deadline:
                raise
            continue
        if not answer.granted:
            raise AcquireConcurrencySlotTimeoutError(
                f"slots of {', '.join(map(repr, wanted))} come back in {answer.wait_s:.3g} s, later than within "
                f"{timeout_seconds:g} s"
            )
        if answer.wait_s > 0:
            session.say(20, f"rate_limit({wanted[0]!r}): goes on in {answer.wait_s:.3g} s", call=frame.call)
            yield Sleep(session, answer.wait_s)
        return
