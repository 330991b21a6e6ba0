"""Taking and giving back slots of named limits. The engine keeps the queue; a release answers the next one at once.

A holder is a place in one epoch of a run: what a run holds ends with it, with its loss, and with its next epoch, so
nothing leaks when a process dies.
"""

import asyncio
import itertools
import time
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from perfect_schemas import subjects
from perfect_schemas.commands import Acquired, AcquireSlots, Holder, ReleaseSlots
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_sdk.context import Frame, current
from perfect_sdk.exceptions import (
    AcquireConcurrencySlotTimeoutError,
    ConcurrencySlotAcquisitionError,
    InvalidInput,
)
from perfect_sdk.running.effects import Future, Steps

if TYPE_CHECKING:
    from concurrent.futures import Future as Answer

    from perfect_schemas.commands import Reply

WAIT_S = 5.0  # how long the engine keeps a question
ANSWER_S = WAIT_S + 2.0
AGAIN_S = 0.2  # after a question that nobody answered
RELEASE_S = 60.0

_acquired = msgspec.json.Decoder(Acquired).decode
_numbers = itertools.count()
_warned: set[tuple[str, str]] = set()


class Slots:
    """What one `with concurrency(…)` holds. held: None outside of a running system, where nothing is limited."""

    def __init__(
        self,
        names: str | Iterable[str],
        occupy: int = 1,
        timeout_seconds: float | None = None,
        max_retries: int | None = None,
        strict: bool = False,
    ) -> None:
        self.names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
        check("concurrency()", self.names, occupy)
        if max_retries is not None and (isinstance(max_retries, bool) or max_retries < 0):
            raise InvalidInput(f"concurrency(max_retries=…) is a whole number from 0 on, not {max_retries!r}")
        self.occupy = occupy
        self.timeout_s = timeout_seconds
        self.questions = None if max_retries is None else max_retries + 1
        self.strict = strict
        self.held: tuple[Frame, Holder] | None = None

    def enter(self) -> Steps[None]:
        """Raises AcquireConcurrencySlotTimeoutError after `timeout_seconds`, and what stops the run."""
        frame = current.get()
        if not self.names:
            return
        if frame is None or not frame.session.journal.is_recorded:
            limits_nothing("concurrency()", frame, strict=self.strict)
            return
        frame.check()
        session = frame.session
        holder = holder_of(frame)
        try:
            yield from self._acquire(frame, holder)
        except BaseException:
            _release(frame, self.names, holder)  # the answer may be on its way
            raise
        self.held = (frame, holder)
        session.floor.pin(1)  # what it holds ends with the epoch, so its code must not outlast it

    def _acquire(self, frame: Frame, holder: Holder) -> Steps[None]:
        session = frame.session
        deadline = None if self.timeout_s is None else time.monotonic() + self.timeout_s
        said: str | None = None
        asked_times = 0
        while True:
            left = WAIT_S if deadline is None else min(WAIT_S, max(deadline - time.monotonic(), 0.0))
            asked_times += 1
            if asked_times == self.questions:  # the last one is not kept: it tells how it stands
                left = 0.0
            command = AcquireSlots(
                names=self.names, holder=holder, occupy=self.occupy, wait_s=left, strict=self.strict
            )
            asked = session.journal.ask(
                subjects.command("engine", "acquire"), command, timeout_s=ANSWER_S, try_s=ANSWER_S
            )
            answer = Acquired(granted=False)
            try:
                reply = yield Future(session, asked)
                answer = _acquired(bytes(reply.value))
            except NotFound as error:
                if self.strict:
                    raise ConcurrencySlotAcquisitionError(error.detail) from None
                raise
            except ServiceUnavailable:  # the engine is being started again
                yield Future(session, session.journal.after(AGAIN_S))
            if answer.granted:
                return
            if deadline is not None and time.monotonic() >= deadline:
                why = f": {answer.waiting_for}" if answer.waiting_for else ""
                raise AcquireConcurrencySlotTimeoutError(
                    f"no slot of {', '.join(map(repr, self.names))} became free within {self.timeout_s:g} s{why}"
                )
            if asked_times == self.questions:
                raise ConcurrencySlotAcquisitionError(
                    f"no slot of {', '.join(map(repr, self.names))} was free in {asked_times} attempts"
                )
            if answer.waiting_for and answer.waiting_for != said:
                said = answer.waiting_for
                session.say(20, f"waits: {said}", call=frame.call)

    def release(self) -> "Answer[Reply] | None":
        """Safe to call more than once. The answer need not be waited for."""
        if self.held is None:
            return None
        (frame, holder), self.held = self.held, None
        frame.session.floor.pin(-1)
        return _release(frame, self.names, holder)


def _release(frame: Frame, names: list[str], holder: Holder) -> "Answer[Reply]":
    command = ReleaseSlots(names=names, holder=holder)
    return frame.session.journal.ask(subjects.command("engine", "release"), command, timeout_s=RELEASE_S)


def holder_of(frame: Frame) -> Holder:
    place = frame.call.place.key if frame.call is not None else frame.scope.path or "flow"
    session = frame.session
    return Holder(run_id=session.run.run_id, epoch=session.epoch, key=f"{place}#{next(_numbers)}")


def check(what: str, names: list[str], occupy: int) -> None:
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidInput(f"{what} takes names of limits, not {names!r}")
    if isinstance(occupy, bool) or not isinstance(occupy, int) or occupy < 1:
        raise InvalidInput(f"{what}: occupy is a whole number from 1 on, not {occupy!r}")


def limits_nothing(what: str, frame: Frame | None, *, strict: bool) -> None:
    """Outside of a running system there are no limits: said once, an error when there have to be some."""
    where = "inside no run" if frame is None or not frame.session.has_flow else "without a running system"
    if strict:
        raise ConcurrencySlotAcquisitionError(
            f"{what} limits nothing {where}, and strict=True asks for a limit"
        )
    if (what, where) not in _warned:
        _warned.add((what, where))
        warnings.warn(f"{what} limits nothing {where}", UserWarning, stacklevel=7)


async def quietly(answer: "Answer[Reply] | None", seconds: float) -> None:
    """Wait for it a moment, whatever it is."""
    if answer is not None:
        await asyncio.wait([asyncio.wrap_future(answer)], timeout=seconds)
