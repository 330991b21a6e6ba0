"""Runs that are offered to a worker: taken in order, when there is room."""

from types import SimpleNamespace
from typing import Any

import msgspec

from perfect_schemas.commands import HandOver
from perfect_sdk.worker.offers import Offers


def hand_over(run_id: str) -> HandOver:
    return HandOver(
        run_id=run_id,
        flow_id="f",
        flow_name="f",
        queued_seq=1,
        epoch=1,
        configuration="release",
        parameters={},
    )


class Slots:
    def __init__(self, count: int) -> None:
        self.free = count
        self.taken: list[str] = []
        self.said: list[str] = []
        self.hear: Any = None
        bus: Any = SimpleNamespace(nc=SimpleNamespace(listen=self.listen))
        self.offers = Offers(bus, "me", free=lambda: self.free, take=self.take, say=self.said.append)

    async def listen(self, subject: str, hear: Any) -> None:
        assert subject == "perfect.ctl.me.run"
        self.hear = hear

    def take(self, offered: HandOver, message: None) -> None:
        assert message is None
        self.free -= 1
        self.taken.append(offered.run_id)

    def offer(self, run_id: str) -> None:
        self.hear(SimpleNamespace(data=msgspec.json.encode(hand_over(run_id))))


async def test_what_there_is_no_room_for_waits_for_a_slot() -> None:
    slots = Slots(1)
    await slots.offers.start()
    for run_id in ("a", "b", "c"):
        slots.offer(run_id)
    assert slots.taken == ["a"]
    slots.free = 2
    slots.offers.next()
    assert slots.taken == ["a", "b", "c"]


async def test_a_worker_that_stops_leaves_them_to_others() -> None:
    slots = Slots(0)
    await slots.offers.start()
    slots.offer("a")
    slots.offers.stop()
    slots.free = 1
    slots.offers.next()
    slots.offer("b")
    assert slots.taken == []


async def test_what_cannot_be_read_is_said() -> None:
    slots = Slots(1)
    await slots.offers.start()
    slots.hear(SimpleNamespace(data=b"{"))
    assert slots.taken == []
    assert "left to others" in slots.said[0]
