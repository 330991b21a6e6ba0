"""Variables and secrets as the registry keeps them, on a real nats-server."""

import asyncio
import stat

import msgspec
import pytest
from fake_worker import Worker, register, trigger

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_runtime.sealing import KEY_FILE
from perfect_schemas import commands as c
from perfect_schemas import ids, subjects
from perfect_schemas.errors import Conflicting, Failed, InvalidInput, NotFound, Rejected

VALUE = msgspec.Raw(b'"open sesame"')


async def ask(bus: Bus, verb: str, command: msgspec.Struct, kind: type = c.Done):
    reply = await bus.ask(subjects.command("registry", verb), command)
    return msgspec.json.decode(reply.value, type=kind)


def put(name: str, value: bytes, **more) -> c.SetVariable:
    return c.SetVariable(name=name, value=msgspec.Raw(value), **more)


def secret(name: str, **more) -> c.SaveSecret:
    return c.SaveSecret(name=name, value=VALUE, save_id=ids.uuid7(), **more)


async def test_variables(bus: Bus, start_service) -> None:
    first = await start_service(RegistryService)
    made = await ask(bus, "set_variable", put("size", b"5", tags=["t"], by="ann"), c.VariableView)
    assert (made.name, bytes(made.value), made.tags, made.by) == ("size", b"5", ["t"], "ann")
    alike = put("size", b"5", tags=["t"], overwrite=True)
    assert await ask(bus, "set_variable", alike, c.VariableView) == made  # nothing new
    for value in (b"5", b"6"):
        with pytest.raises(Conflicting):
            await ask(bus, "set_variable", put("size", value, tags=["t"]), c.VariableView)
    await ask(bus, "set_variable", put("size", b'{"a":[1]}', overwrite=True), c.VariableView)
    await ask(bus, "set_variable", put("other", b"null"), c.VariableView)
    for name, value in (
        ("", b"1"),
        ("a b", b"1"),
        ("a.b", b"1"),
        ("x", b'"%s"' % (b"x" * 70_000)),
    ):
        with pytest.raises(InvalidInput):
            await ask(bus, "set_variable", put(name, value), c.VariableView)
    await first.stop()
    await start_service(RegistryService)
    shown = await ask(bus, "variables", c.ShowVariables(), list[c.VariableView])
    assert [(one.name, bytes(one.value)) for one in shown] == [("other", b"null"), ("size", b'{"a":[1]}')]
    await ask(bus, "remove_variable", c.RemoveVariable(name="size"))
    for verb, command in (
        ("remove_variable", c.RemoveVariable(name="size")),
        ("variable", c.ShowVariable(name="size")),
    ):
        with pytest.raises(NotFound):
            await ask(bus, verb, command)
    events = await bus.read(subjects.variable(ids.variable_id("size")), stream="DEFS")
    assert [event.type for _, event in events] == ["variable.set", "variable.set", "variable.removed"]


async def test_a_repeat_of_the_command_that_set_it_is_harmless(bus: Bus, start_service) -> None:
    first = await start_service(RegistryService)
    setting = put("size", b"5", set_id=ids.uuid7())
    made = await ask(bus, "set_variable", setting, c.VariableView)
    await first.stop()
    await start_service(RegistryService)
    assert await ask(bus, "set_variable", setting, c.VariableView) == made
    with pytest.raises(Conflicting):
        await ask(bus, "set_variable", msgspec.structs.replace(setting, set_id=ids.uuid7()))
    await ask(bus, "set_variable", put("size", b"6", overwrite=True, set_id=ids.uuid7()), c.VariableView)
    with pytest.raises(Conflicting):  # it is somebody else's by now
        await ask(bus, "set_variable", setting)
    assert len(await bus.read(subjects.variable(ids.variable_id("size")), stream="DEFS")) == 2


async def test_two_registries_set_one_value(bus: Bus, start_service) -> None:
    await start_service(RegistryService)
    await start_service(RegistryService)
    commands = [put("n", str(n).encode()) for n in range(10)]
    answers = await asyncio.gather(
        *(ask(bus, "set_variable", one, c.VariableView) for one in commands), return_exceptions=True
    )
    assert sum(isinstance(one, c.VariableView) for one in answers) == 1
    assert sum(isinstance(one, Conflicting) for one in answers) == 9


async def test_a_secret_is_for_the_client_that_executes(bus: Bus, start_service, settings) -> None:
    registry = await start_service(RegistryService)
    await start_service(EngineService)
    assert await ask(bus, "secrets", c.ShowSecrets(), list[c.SecretView]) == []
    saving = secret("door", by="ann")
    assert "sesame" not in repr(saving)
    await ask(bus, "save_secret", saving, c.SecretView)
    await ask(bus, "save_secret", saving, c.SecretView)  # a repeat of the same save
    with pytest.raises(Conflicting):
        await ask(bus, "save_secret", secret("door"), c.SecretView)
    await ask(bus, "save_secret", secret("door", overwrite=True), c.SecretView)
    [shown] = await ask(bus, "secrets", c.ShowSecrets(), list[c.SecretView])
    assert shown.name == "door"

    await register(bus, "opens")
    worker = await Worker(bus, "opens", lease_s=60).connect()
    run_id = (await trigger(bus, "opens")).run_id
    claimed = await worker.start("opens")
    load = c.LoadSecret(name="door", run_id=run_id, client_id=worker.id)
    answer = await ask(bus, "load_secret", load, c.SecretValue)
    assert answer.value == VALUE
    assert "sesame" not in repr(answer)
    with pytest.raises(NotFound):
        await ask(bus, "load_secret", msgspec.structs.replace(load, name="window"))
    for wrong in (
        msgspec.structs.replace(load, client_id=ids.uuid7()),
        msgspec.structs.replace(load, run_id=ids.uuid7()),
        msgspec.structs.replace(load, run_id="*"),
    ):
        with pytest.raises(Rejected):
            await ask(bus, "load_secret", wrong)

    key = settings.data_dir / KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    kept = await bus.js.get_last_msg(f"KV_{subjects.SECRETS}", subjects.secret("door"))
    assert b"sesame" not in (kept.data or b"")
    await registry.stop()
    was = key.read_bytes()
    key.write_bytes(b"x" * 32)
    registry = await start_service(RegistryService)
    with pytest.raises(Failed, match="another key"):
        await ask(bus, "load_secret", load)
    await registry.stop()
    key.write_bytes(was)
    key.chmod(0o644)
    registry = await start_service(RegistryService)
    with pytest.raises(Failed, match="chmod 600"):
        await ask(bus, "load_secret", load)
    key.chmod(0o600)
    assert (await ask(bus, "load_secret", load, c.SecretValue)).value == VALUE
    await worker.complete(claimed)
    with pytest.raises(Rejected):  # it executes nothing any more
        await ask(bus, "load_secret", load)
    await ask(bus, "remove_secret", c.RemoveSecret(name="door"))
    with pytest.raises(NotFound):
        await ask(bus, "remove_secret", c.RemoveSecret(name="door"))
    assert await ask(bus, "secrets", c.ShowSecrets(), list[c.SecretView]) == []
    await ask(bus, "save_secret", secret("door"), c.SecretView)  # the name is free again
