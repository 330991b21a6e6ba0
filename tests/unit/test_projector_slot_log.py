"""What the log says about limits: whether more were in than a limit lets in."""

from perfect_projector import slot_log
from perfect_schemas import codec, ids
from perfect_schemas.envelope import Event, utc_now
from perfect_schemas.events import LimitCondensed, LimitRemoved, LimitSet, SlotGranted, SlotHeld, SlotReleased

RUN = ids.uuid7()


def said(kind: type[Event], **fields: object) -> Event:
    return kind(id=ids.uuid7(), at=utc_now(), source="engine", name="db", **fields)  # type: ignore[call-arg]


def grant(key: str, occupy: int = 1) -> Event:
    return said(SlotGranted, run_id=RUN, epoch=1, task_key=key, occupy=occupy)


def release(key: str) -> Event:
    return said(SlotReleased, run_id=RUN, epoch=1, task_key=key)


def check(*events: Event) -> slot_log.Findings:
    return slot_log.check((seq, codec.encode(event)) for seq, event in enumerate(events, 1))


def test_within_the_limit() -> None:
    found = check(said(LimitSet, slots=2), grant("a"), grant("b"), release("a"), grant("c"), grant("c"))
    assert (found.grants, found.most, found.offences) == (3, {"db": 2}, [])


def test_one_too_many() -> None:
    found = check(said(LimitSet, slots=2), grant("a"), grant("b", 2))
    assert found.offences == [f"limit db: 3 of 2 slots were taken by the grant at 3, to run {RUN}"]


def test_a_lowered_limit_gives_nothing_until_enough_is_back() -> None:
    lowered = [said(LimitSet, slots=2), grant("a"), grant("b"), said(LimitSet, slots=1)]
    assert check(*lowered, release("a"), release("b"), grant("c")).offences == []
    assert len(check(*lowered, release("a"), grant("c")).offences) == 1


def test_without_a_limit_everybody_comes_in() -> None:
    assert check(grant("a"), said(LimitSet, slots=1), said(LimitRemoved), grant("b")).offences == []


def test_where_a_limit_is_said_to_stand() -> None:
    held = SlotHeld(run_id=RUN, epoch=1, key="a", occupy=1, since=utc_now())
    stands = said(LimitCondensed, slots=1, held=[held])
    assert check(said(LimitSet, slots=1), grant("a"), stands, release("a"), grant("b")).offences == []
    assert len(check(stands, grant("b")).offences) == 1
    assert (
        "is said to have 1 slots taken, by its events it has 0"
        in check(said(LimitSet, slots=1), stands).offences[0]
    )
