"""What a worker tells its executors, when messages cross."""

import asyncio
from types import SimpleNamespace
from typing import Any

from eventually import eventually
from said_runs import FLOW, FLOW_ID, Runs

from perfect_bus import Bus
from perfect_schemas import events, ids
from perfect_schemas.commands import HandOver
from perfect_sdk.worker.frames import Abandon, Cancel, Ended, Start
from perfect_sdk.worker.runs import Runs as WorkersRuns


class OneExecutor:
    """A crew of one, which keeps what it is told. Its process is not what is asked about here."""

    number, pid, solo, is_alive, killed_for = 1, 0, False, True, None

    def __init__(self) -> None:
        self.runs: set[Any] = set()
        self.told: list[Any] = []

    def send(self, frame: Any) -> None:
        self.told.append(frame)

    def pick(self, _keeper: Any) -> "OneExecutor":
        return self


async def test_a_cancellation_that_crosses_a_suspension_unwinds_the_code(bus: Bus) -> None:
    said = Runs(bus)
    run_id = await said.schedule()
    queued = await said.say(run_id, events.RunQueued)
    crew: Any = OneExecutor()
    worker = WorkersRuns(
        bus, crew, client_id=ids.uuid7(), client_name="w", cancel_grace_s=60, changed=lambda: None, say=print
    )
    hand_over = HandOver(
        run_id=run_id, flow_id=FLOW_ID, flow_name=FLOW, queued_seq=queued, epoch=1, configuration="development",
        parameters={},
    )  # fmt: skip
    worker.take(hand_over, SimpleNamespace(reply="nobody.listens"))  # type: ignore[arg-type]
    await eventually(lambda: [type(frame) for frame in crew.told] == [Start])

    worker.cancel(run_id)  # the executor has just written `run.suspended`, and does not run it any more
    worker.ended(crew, Ended(run_id=run_id, epoch=1, outcome="suspended", keeps=True))
    assert [type(frame) for frame in crew.told] == [Start, Cancel, Abandon]
    await asyncio.wait_for(worker.wait_empty(), 10)
