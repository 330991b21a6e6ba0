"""A run that is handed over together with its `run.queued`, before anybody knows where that stands."""

import asyncio
from typing import Any

import pytest
from said_runs import FLOW, FLOW_ID, Runs

from perfect_bus import Bus, Guard, append
from perfect_bus.append import append_pair
from perfect_bus.claim import Claim, claim
from perfect_schemas import events, ids, subjects
from perfect_schemas.commands import HandOver
from perfect_schemas.envelope import utc_now


def event(kind: Any, run_id: str, **fields: Any) -> Any:
    return kind(id=ids.uuid7(), at=utc_now(), source="engine", run_id=run_id, **fields)


def scheduled(run_id: str) -> events.RunScheduled:
    return event(events.RunScheduled, run_id, flow_id=FLOW_ID, flow_name=FLOW)


async def take(bus: Bus, run_id: str, queued_id: str, event_id: str | None = None) -> Claim | None:
    hand_over = HandOver(
        run_id=run_id, flow_id=FLOW_ID, flow_name=FLOW, queued_seq=0, epoch=1, configuration="development",
        parameters={}, queued_id=queued_id,
    )  # fmt: skip
    return await claim(
        bus, hand_over, client_id=ids.uuid7(), client_name="w", flow_version=None, event_id=event_id
    )


async def kinds(bus: Bus, run_id: str) -> list[str]:
    return [one.type for _, one in await bus.read(subjects.run(run_id))]


async def test_it_is_claimed_right_behind_the_event(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject, queued = subjects.run(run_id), event(events.RunQueued, run_id)
    _, behind = await append_pair(bus, subject, scheduled(run_id), queued, Guard(subject, 0))
    assert behind is not None
    claimed = await take(bus, run_id, queued.id)
    assert claimed is not None
    assert (claimed.seq, claimed.epoch) == (behind + 1, 1)


async def test_what_others_wrote_meanwhile_does_not_matter(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject, queued = subjects.run(run_id), event(events.RunQueued, run_id)
    await append_pair(bus, subject, scheduled(run_id), queued, Guard(subject, 0))
    await Runs(bus).start()
    claimed = await take(bus, run_id, queued.id)
    assert claimed is not None
    assert await kinds(bus, run_id) == ["run.scheduled", "run.queued", "run.started"]


async def test_it_is_claimed_once_by_many(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject, queued = subjects.run(run_id), event(events.RunQueued, run_id)
    await append_pair(bus, subject, scheduled(run_id), queued, Guard(subject, 0))
    claims = await asyncio.gather(*(take(bus, run_id, queued.id) for _ in range(5)))
    assert len([one for one in claims if one is not None]) == 1
    assert await kinds(bus, run_id) == ["run.scheduled", "run.queued", "run.started"]


async def test_the_hand_over_may_be_there_before_the_event(bus: Bus) -> None:
    """Also when the event was refused first, since something had come between, and was sent again."""
    run_id = ids.uuid7()
    subject, queued = subjects.run(run_id), event(events.RunQueued, run_id)
    first = await append(bus, subject, scheduled(run_id), Guard(subject, 0))
    claiming = asyncio.create_task(take(bus, run_id, queued.id))
    await asyncio.sleep(0)
    seq = await append(bus, subject, queued, Guard(subject, first))
    claimed = await claiming
    assert claimed is not None
    assert claimed.seq > seq


async def test_a_claim_that_was_sent_twice_is_one(bus: Bus) -> None:
    run_id, claim_id = ids.uuid7(), ids.uuid7()
    subject, queued = subjects.run(run_id), event(events.RunQueued, run_id)
    await append_pair(bus, subject, scheduled(run_id), queued, Guard(subject, 0))
    first = await take(bus, run_id, queued.id, claim_id)
    again = await take(bus, run_id, queued.id, claim_id)
    assert first is not None
    assert again is not None
    assert (again.seq, await kinds(bus, run_id)) == (
        first.seq,
        ["run.scheduled", "run.queued", "run.started"],
    )


@pytest.mark.parametrize("then", [events.RunQueued, events.RunCancelled])
async def test_it_is_dropped_when_the_run_has_moved_on(bus: Bus, then: Any) -> None:
    run_id = ids.uuid7()
    subject, queued = subjects.run(run_id), event(events.RunQueued, run_id)
    _, behind = await append_pair(bus, subject, scheduled(run_id), queued, Guard(subject, 0))
    await append(bus, subject, event(then, run_id), Guard(subject, behind or 0))
    assert await take(bus, run_id, queued.id) is None


async def test_it_is_dropped_when_the_event_never_comes(bus: Bus) -> None:
    run_id = ids.uuid7()
    await append(bus, subjects.run(run_id), scheduled(run_id), Guard(subjects.run(run_id), 0))
    assert await take(bus, run_id, ids.uuid7()) is None
    assert await kinds(bus, run_id) == ["run.scheduled"]
