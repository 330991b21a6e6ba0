"""A run at one of its events, read in the way that costs least: cut from its rows, or folded from its events."""

import asyncio

import msgspec

from perfect_gateway.cut import Rows, cut, is_plain
from perfect_gateway.drawn import task_columns
from perfect_gateway.folded import Seen
from perfect_gateway.parts import Parts
from perfect_gateway.past import Past, PastReader
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.drawn import RunMoment, RunMomentView
from perfect_schemas.envelope import Event
from perfect_schemas.errors import NotFound

_LAST = (1 << 63) - 1  # beyond every sequence
CUT_BESIDE = 20_000  # task runs: cutting more of them takes a thread


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """The run at its n-th event of `count`, from 0. prior, following: sequences of those beside it, None at either end."""

    history: Seen
    event: Event
    n: int
    count: int
    seq: int
    prior: int | None
    following: int | None


class MomentReader:
    """Keeps what it read last: who drags a slider asks for one run many times."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._past = PastReader(parts)
        self._rows: tuple[str, dict[str, int], Rows] | None = None

    async def at(self, run_id: str, seq: int) -> Moment:
        """At the last event up to `seq`. Raises NotFound."""
        found = await self._projected(RunMoment(run_id=run_id, seq=min(max(seq, 0), _LAST)))
        if found is None:
            past = await self._past.read(run_id, seq)
            return await asyncio.to_thread(_folded, past, past.place(seq))
        rows = await self._read(run_id, found)
        if found.tasks > CUT_BESIDE:
            history = await asyncio.to_thread(cut, found, rows)
        else:
            history = cut(found, rows)
        return Moment(
            history=history,
            event=codec.decode(bytes(found.event)),  # type: ignore[arg-type]  # its type is among those of a plain run
            n=found.n,
            count=sum(found.kinds.values()),
            seq=found.seq,
            prior=found.prior,
            following=found.following,
        )

    async def seq_of(self, run_id: str, n: int) -> int:
        """The sequence of the run's n-th event, from 0; of its last one when there are fewer. Raises NotFound."""
        found = await self._projected(RunMoment(run_id=run_id, n=min(max(n, 0), _LAST)))
        if found is not None:
            return found.seq
        past = await self._past.read(run_id)
        return past.events[min(max(n, 0), len(past.events) - 1)][0]

    async def _projected(self, asked: RunMoment) -> RunMomentView | None:
        """None when the run is to be folded: it is not plain, or younger than the read model."""
        try:
            found, _ = await self._parts.asker.value("run_moment", asked, RunMomentView)
        except NotFound:
            return None
        if not is_plain(found) or isinstance(codec.decode(bytes(found.event)), UnknownEvent):
            return None
        return found

    async def _read(self, run_id: str, found: RunMomentView) -> Rows:
        kept = self._rows
        if kept is not None and kept[:2] == (run_id, found.kinds):
            return kept[2]
        rows = Rows(run_id, await task_columns(self._parts.asker, run_id))
        self._rows = (run_id, found.kinds, rows)
        return rows


def _folded(past: Past, place: int) -> Moment:
    seq, event = past.events[place]
    return Moment(
        history=past.until(seq),
        event=event,
        n=place,
        count=len(past.events),
        seq=seq,
        prior=past.events[place - 1][0] if place > 0 else None,
        following=past.events[place + 1][0] if place + 1 < len(past.events) else None,
    )
