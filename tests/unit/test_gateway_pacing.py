"""Positions in the streams, how often something is drawn, and the queues of who listens."""

import asyncio
from typing import Any

import pytest

from perfect_gateway.live.feed import frame
from perfect_gateway.live.pace import GATHER_S, Pace, Pacer
from perfect_gateway.live.position import Position
from perfect_gateway.live.subscriber import Subscriber


def test_position() -> None:
    assert Position.parse(" 12.34 ") == Position(12, 34)
    assert str(Position(12, 34)) == "12.34"
    for text in ("", "12", "12.", "a.b", "-1.2", "1.2.3", "9" * 30 + ".1"):
        assert Position.parse(text) is None


def test_pace() -> None:
    pace = Pace()
    assert pace.delay("a", 0.25, 10.0) == GATHER_S
    pace.drawn("a", 10.0)
    assert pace.delay("a", 0.25, 10.1) == pytest.approx(0.15)
    assert pace.delay("a", 0.25, 11.0) == GATHER_S
    assert pace.delay("b", 0.25, 10.1) == GATHER_S
    for n in range(5000):
        pace.drawn(n, 20.0 + n)
    assert len(pace._last) < 2000  # what was drawn long ago is forgotten


async def test_pacer_draws_once_for_many_and_always_the_last() -> None:
    drawn: list[Any] = []
    done = asyncio.Event()
    state = {"a": 0}

    def draw(key: Any) -> None:
        drawn.append((key, state["a"]))
        if state["a"] == 199:
            done.set()

    pacer = Pacer(draw)
    for n in range(200):
        state["a"] = n
        pacer.ask("a", 0.05)
        if n == 100:
            await asyncio.sleep(0.03)
    await asyncio.wait_for(done.wait(), 60)
    assert len(drawn) <= 3
    assert drawn[-1] == ("a", 199)
    pacer.ask("a", 10)
    pacer.close()


async def test_subscriber_drops_all_and_says_so() -> None:
    subscriber = Subscriber(ping=b"ping", overflow=b"resync", max_frames=3)
    for n in range(10):
        subscriber.push(b"%d" % n)
    frames = subscriber.frames()
    assert await anext(frames) == b"resync"
    subscriber.push(b"a")
    subscriber.push(b"b")
    assert await anext(frames) == b"ab"
    subscriber.close()
    with pytest.raises(StopAsyncIteration):
        await anext(frames)


async def test_silent_subscriber_ends_at_an_overflow() -> None:
    subscriber = Subscriber(ping=b"ping", overflow=None, max_bytes=10)
    subscriber.push(b"12345678")
    subscriber.push(b"12345678")
    assert subscriber.overflowed
    with pytest.raises(StopAsyncIteration):
        await anext(subscriber.frames())
    subscriber.reset()
    subscriber.push(b"x")
    assert await anext(subscriber.frames()) == b"x"


async def test_subscriber_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfect_gateway.live.subscriber.PING_S", 0.01)
    assert await anext(Subscriber(ping=b"ping", overflow=None).frames()) == b"ping"


def test_frames_are_one_line() -> None:
    assert frame(b'{"a":\n 1}', Position(1, 2)) == b'id: 1.2\ndata: {"a":  1}\n\n'
