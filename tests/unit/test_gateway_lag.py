"""The badge that says that the read model is behind: when it is shown, what it says, when it goes."""

import asyncio

import pytest

from perfect_gateway.live.lag import Lag


@pytest.fixture
async def shown():
    return asyncio.Queue()


async def test_who_keeps_up_is_never_spoken_of(shown) -> None:
    lag = Lag(shown.put_nowait, late_s=30)
    for seq in range(1, 50):
        lag.on_event(seq, "run", b"")
        lag.committed(seq)
    assert shown.empty()
    assert lag.frame is None
    assert lag._timer is None, "nothing is waited for"


async def test_it_says_since_when_until_what_was_late_is_there(shown) -> None:
    now = [100.0]
    lag = Lag(shown.put_nowait, late_s=0.001, clock=lambda: now[0])
    lag.committed(4)
    lag.on_event(5, "run", b"")
    lag.on_event(9, "run", b"")
    now[0] = 103.2
    frame = await asyncio.wait_for(shown.get(), 60)
    assert b"read model 3 s behind" in frame
    now[0] = 107.0
    while b"read model 7 s behind" not in frame:
        frame = await asyncio.wait_for(shown.get(), 60)
    assert lag.frame == frame

    lag.committed(4)
    assert lag.frame is not None, "not there yet"
    lag.committed(9)
    assert lag.frame is None
    last = frame
    while not shown.empty():
        last = shown.get_nowait()
    assert b"hidden" in last
    assert b"behind" not in last
    assert lag._timer is None


async def test_what_came_meanwhile_has_a_second_of_its_own(shown) -> None:
    lag = Lag(shown.put_nowait, late_s=30)
    lag.on_event(5, "run", b"")
    lag.on_event(6, "run", b"")
    lag.committed(5)
    assert lag._timer is not None
    lag.committed(6)
    assert lag._timer is None
    assert shown.empty()
