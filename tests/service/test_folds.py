"""Definitions as services keep them, folded from DEFS, on a real nats-server."""

import msgspec
import pytest
from eventually import eventually

from perfect_bus import Bus
from perfect_registry import variables
from perfect_registry.variables import Variable
from perfect_runtime.folds import Folds
from perfect_schemas import commands as c
from perfect_schemas import ids, subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import NotFound

SIZE, OTHER = ids.variable_id("size"), ids.variable_id("other")


def put(name: str, value: bytes):
    command = c.SetVariable(name=name, value=msgspec.Raw(value), overwrite=True)
    return lambda kept: variables.put(kept, command, event_id=ids.uuid7(), now=utc_now())


def value(state: Variable | None) -> bytes | None:
    return None if state is None else bytes(state.view.value)


async def test_what_one_says_another_knows(bus: Bus) -> None:
    here, seen = Folds(bus, subjects.variable, variables.evolve), []
    await here.start()
    state, said = await here.handle(SIZE, put("size", b"1"))
    assert (value(state), len(said)) == (b"1", 1)
    assert (await here.handle(SIZE, put("size", b"1")))[1] == []  # done already
    there = Folds(bus, subjects.variable, variables.evolve, changed=lambda one: seen.append(value(one)))
    await there.start()
    assert (value(there.get(SIZE)), len(there), seen) == (b"1", 1, [b"1"])
    await here.handle(SIZE, put("size", b"2"))
    assert value(await there.find(SIZE)) == b"2"  # whether it was heard of or not
    state, _ = await there.handle(SIZE, put("size", b"3"))
    assert value(state) == b"3"
    assert value(there.get(SIZE)) == b"3"
    await here.handle(OTHER, put("other", b"9"))
    await eventually(lambda: value(there.get(OTHER)) == b"9")
    assert await eventually(lambda: value(here.get(SIZE)) == b"3")
    assert seen[-1] == b"9"
    for one in (here, there):
        await one.stop()


async def test_names_that_nobody_gave_are_not_kept(bus: Bus) -> None:
    folds = Folds(bus, subjects.variable, variables.evolve)
    await folds.start()
    command = c.RemoveVariable(name="size")
    with pytest.raises(NotFound):
        await folds.handle(
            SIZE, lambda kept: variables.remove(kept, command, event_id=ids.uuid7(), now=utc_now())
        )
    assert await folds.find(SIZE) is None
    assert folds._folds == {}
    await folds.handle(SIZE, put("size", b"1"))
    assert list(folds._folds) == [SIZE]
    await folds.stop()
