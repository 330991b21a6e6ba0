"""Asking services over a real nats-server: answers of any size, and problems."""

from collections.abc import Awaitable, Callable

import pytest

from perfect_bus import Bus
from perfect_schemas import codec
from perfect_schemas.commands import Reply
from perfect_schemas.errors import (
    Conflicting,
    Failed,
    ServiceUnavailable,
)

MakeBus = Callable[..., Awaitable[Bus]]


async def test_an_answer_of_any_size_arrives_whole(bus: Bus, make_bus: MakeBus) -> None:
    async def answer(data: bytes) -> Reply:
        return Reply(value=codec.msgspec.Raw(codec.encode("x" * int(data))), seq=7)

    asking = await make_bus("asking")
    await bus.answer("perfect.qry.test", answer)
    for size in (1, 100_000, 3_000_000):
        reply = await asking.ask("perfect.qry.test", size)
        assert (len(codec.msgspec.json.decode(reply.value)), reply.seq) == (size, 7)


async def test_a_problem_is_raised_as_the_error_it_was(bus: Bus) -> None:
    async def reject(_: bytes) -> Reply:
        raise Conflicting("run x is final; start a new one")

    async def fail(_: bytes) -> Reply:
        raise ZeroDivisionError("a bug")

    await bus.answer("perfect.cmd.test.reject", reject)
    await bus.answer("perfect.cmd.test.fail", fail)
    with pytest.raises(Conflicting, match="run x is final"):
        await bus.ask("perfect.cmd.test.reject", {})
    with pytest.raises(Failed, match="ZeroDivisionError: a bug"):
        await bus.ask("perfect.cmd.test.fail", {})
    with pytest.raises(ServiceUnavailable, match=r"perfect\.cmd\.test\.nobody"):
        await bus.ask("perfect.cmd.test.nobody", {}, timeout_s=0.2)
