"""Waiting on the bus for what becomes of a run: the stream is followed, nothing is asked again and again."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from perfect_schemas import codec, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds.run import RunLife

if TYPE_CHECKING:
    from perfect_bus import Bus

T = TypeVar("T")


async def first(
    bus: "Bus", subject: str, after: int, judge: Callable[[Event | UnknownEvent, int], T | None]
) -> tuple[int, T]:
    """The sequence of the first event on `subject` of EVENTS after the sequence `after` for which `judge(event, seq)`
    gives something, and what it gives. Raises what `judge` raises.
    """
    found: asyncio.Future[tuple[int, T]] = asyncio.get_running_loop().create_future()

    async def heard(msg: Any, seq: int) -> None:
        if found.done():
            return
        try:
            value = judge(codec.decode(msg.data), seq)
        except BaseException as error:
            found.set_exception(error)
        else:
            if value is not None:
                found.set_result((seq, value))

    following = await bus.follow("EVENTS", heard, after=after, subject=subject)
    try:
        return await found
    finally:
        await following.unsubscribe()


async def until_final(bus: "Bus", run_id: str) -> RunLife:
    """The life of the run, once it has ended."""
    life: RunLife | None = None

    def judge(event: Event | UnknownEvent, seq: int) -> RunLife | None:
        nonlocal life
        if not isinstance(event, UnknownEvent):
            life = run_fold.evolve(life, event, seq)
        return life if life is not None and life.state.is_final else None

    return (await first(bus, subjects.run(run_id), 0, judge))[1]
