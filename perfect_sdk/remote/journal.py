"""What a worker says of a distributed task: like the journal of a run, but by the right of its dispatch.

Its events carry the dispatch and are not guarded on the run: whether they count is judged by whoever folds them. They go
one way, what is waited for and what is not, so that they stand on the stream in the order in which they were said.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from perfect_bus.append import check_size
from perfect_bus.outbox import Ack
from perfect_schemas import codec
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, Failed
from perfect_schemas.events import RunEvent, TaskCompleted, TaskFailed
from perfect_sdk.connecting.io import IO
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.recording.bus_journal import BusJournal
from perfect_sdk.recording.journal import RunSupersededError

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunContext

RUN_EVENTS = frozenset(RunEvent.__args__)
_ENDS = frozenset({TaskCompleted, TaskFailed})


class RemoteJournal(BusJournal):
    """ended: whether the end of the dispatched task, `task_key`, has been stored."""

    def __init__(
        self, io: IO, *, run_id: str, epoch: int, source: str, dispatch_id: str, task_key: str
    ) -> None:
        super().__init__(io, run_id=run_id, epoch=epoch, claim_seq=0, source=source)
        self.ended = False
        self._dispatch_id = dispatch_id
        self._task_key = task_key

    @property
    def dispatcher(self) -> None:
        """Tasks called here run here: a place on a worker never waits for another one."""
        return

    def emit(self, event: Event) -> None:
        super().emit(self._stamped(event))

    def commit(self, event: Event) -> None:
        event, data, is_end = self._ready(event)
        if is_end and self._shipper.is_busy:
            self._io.call(self._shipper.settle)  # whoever sees the end sees every line
        self._answered(event, self._lane.commit(self._task_subject, data, event.id, None), is_end)

    async def commit_async(self, event: Event) -> None:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Ack | BusUnavailable] = loop.create_future()

        def resolve(ack: Ack | BusUnavailable) -> None:
            if not answer.done():
                answer.set_result(ack)

        def done(ack: Ack | BusUnavailable) -> None:
            loop.call_soon_threadsafe(resolve, ack)

        await self._io.room()
        event, data, is_end = self._ready(event)
        if is_end and self._shipper.is_busy:
            await self._io.call_async(self._shipper.settle)
        self._lane.commit_soon(
            self._task_subject,
            data,
            event.id,
            None,
            done,
        )
        self._answered(event, await answer, is_end)

    def _ready(self, event: Event) -> tuple[Event, bytes, bool]:
        """The event as it is stored, encoded, and whether it ends the dispatched task."""
        if self._superseded:
            raise RunSupersededError(self.run_id)
        event = self._stamped(event)
        data = codec.encode(event)
        check_size(self._task_subject, data)
        return event, data, type(event) in _ENDS and event.task_key == self._task_key

    def _answered(self, event: Event, ack: Ack | BusUnavailable, is_end: bool) -> None:
        if isinstance(ack, BusUnavailable):
            raise ack
        if ack.error is not None:
            raise Failed(f"{self._task_subject} refused {event.type}: {ack.error.description}")
        self.ended = self.ended or is_end

    def _stamped(self, event: Event) -> Event:
        if type(event) in RUN_EVENTS:
            raise NotSupported(
                f"{event.type} is the flow's own business, not that of a task which another worker runs: do it in the flow"
            )
        return msgspec.structs.replace(event, dispatch_id=self._dispatch_id)  # type: ignore[call-arg]

    def child(self, run: "RunContext") -> BusJournal:
        child = BusJournal(
            self._io, run_id=run.run_id, epoch=run.epoch, claim_seq=run.claim_seq, source=run.source
        )
        if self._superseded:
            child.abandon()
        self._children.add(child)
        return child
