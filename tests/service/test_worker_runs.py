"""What a worker tells its executors: while it claims a run, and when messages cross."""

import asyncio
from types import SimpleNamespace
from typing import Any

from eventually import eventually
from said_runs import FLOW, FLOW_ID, Runs

from perfect_bus import Bus
from perfect_schemas import events, ids, subjects
from perfect_schemas.commands import HandOver
from perfect_sdk.worker.frames import Abandon, Cancel, Claimed, Ended, Prepare, Start
from perfect_sdk.worker.runs import Runs as WorkersRuns


class OneExecutor:
    """A crew of one, which keeps what it is told. Its process is not what is asked about here."""

    number, pid, solo, is_alive, killed_for = 1, 0, False, True, None

    def epitaph(self) -> str:
        return "ended"

    def __init__(self) -> None:
        self.runs: set[Any] = set()
        self.told: list[Any] = []

    def send(self, frame: Any) -> None:
        self.told.append(frame)

    def pick(self, _keeper: Any) -> "OneExecutor":
        return self


MESSAGE: Any = SimpleNamespace(reply="nobody.listens")


def worker_with(bus: Bus, crew: Any) -> WorkersRuns:
    return WorkersRuns(
        bus, crew, client_id=ids.uuid7(), client_name="w", cancel_grace_s=60, changed=lambda: None, say=print
    )


def hand_over(run_id: str, queued_seq: int, **fields: Any) -> HandOver:
    return HandOver(
        run_id=run_id, flow_id=FLOW_ID, flow_name=FLOW, queued_seq=queued_seq, configuration="development",
        parameters={}, **{"epoch": 1, **fields},
    )  # fmt: skip


async def test_an_executor_makes_ready_while_the_run_is_claimed(bus: Bus) -> None:
    said = Runs(bus)
    run_id = await said.schedule()
    queued = await said.say(run_id, events.RunQueued)
    crew = OneExecutor()
    worker_with(bus, crew).take(hand_over(run_id, queued), MESSAGE)
    await eventually(lambda: [type(frame) for frame in crew.told] == [Prepare, Claimed])
    (_, claim) = (await bus.read(subjects.run(run_id)))[-1:][0]
    assert isinstance(claim, events.RunStarted)
    assert crew.told[1:] == [Claimed(run_id=run_id, epoch=1, claim_seq=queued + 1)]
    assert crew.runs == {(run_id, 1)}


async def test_what_was_made_ready_is_dropped_when_another_worker_has_the_run(bus: Bus) -> None:
    said = Runs(bus)
    run_id = await said.start()
    queued = said.last[run_id] - 1
    crew = OneExecutor()
    worker = worker_with(bus, crew)
    worker.take(hand_over(run_id, queued), MESSAGE)
    await eventually(lambda: [type(frame) for frame in crew.told] == [Prepare, Abandon])
    assert (crew.runs, worker.count) == (set(), 0)


async def test_one_whose_executor_dies_during_the_claim_goes_to_the_next(bus: Bus) -> None:
    said = Runs(bus)
    run_id = await said.schedule()
    queued = await said.say(run_id, events.RunQueued)
    crew = OneExecutor()
    worker = worker_with(bus, crew)
    worker.take(hand_over(run_id, queued), MESSAGE)
    while not crew.told:
        await asyncio.sleep(0)
    worker.child_died(crew)  # type: ignore[arg-type]
    await eventually(lambda: [type(frame) for frame in crew.told] == [Prepare, Start])


async def test_a_run_with_a_history_is_not_made_ready_for(bus: Bus) -> None:
    said = Runs(bus)
    run_id = await said.start()
    await said.say(run_id, events.RunLost, client_id="c", reason="gone", epoch=1)
    queued = await said.say(run_id, events.RunQueued)
    crew = OneExecutor()
    worker_with(bus, crew).take(hand_over(run_id, queued, epoch=2, replay=True), MESSAGE)
    await eventually(lambda: [type(frame) for frame in crew.told] == [Start])


async def test_a_cancellation_that_crosses_a_suspension_unwinds_the_code(bus: Bus) -> None:
    said = Runs(bus)
    run_id = await said.schedule()
    queued = await said.say(run_id, events.RunQueued)
    crew: Any = OneExecutor()
    worker = worker_with(bus, crew)
    worker.take(hand_over(run_id, queued), MESSAGE)
    await eventually(lambda: [type(frame) for frame in crew.told] == [Prepare, Claimed])

    worker.cancel(run_id)  # the executor has just written `run.suspended`, and does not run it any more
    worker.ended(crew, Ended(run_id=run_id, epoch=1, outcome="suspended", keeps=True))
    assert [type(frame) for frame in crew.told] == [Prepare, Claimed, Cancel, Abandon]
    await asyncio.wait_for(worker.wait_empty(), 60)
