"""Secrets: values that are kept sealed, and given out to running flows only.

    from perfect_sdk.blocks.system import Secret

    password = Secret.load("database").get()

A read asks the system and is not recorded. What a run has loaded is hidden in its log lines, errors and artifacts, and a
task's result that holds it is not kept: return what you made with the secret, not the secret. In async code `load` and
`save` return a coroutine; `aload` and `asave` always do. Where no system runs, secrets last as long as the process.
"""

from typing import Any, NoReturn

import msgspec

from perfect_schemas import ids
from perfect_schemas.commands import LoadSecret, SaveSecret, SecretValue
from perfect_schemas.errors import Conflicting, NotFound
from perfect_sdk.connecting.services import command, dispatched, in_async
from perfect_sdk.context import of_run
from perfect_sdk.elsewhere import names_of
from perfect_sdk.encoding import secrecy
from perfect_sdk.encoding.values import encode
from perfect_sdk.exceptions import MissingContextError, NotJSON, ObjectAlreadyExists, ObjectNotFound
from perfect_sdk.running.effects import Steps

__all__ = ["Secret"]

_decode = msgspec.json.Decoder(SecretValue).decode
_here: dict[str, Any] = {}  # where no system runs
BY = "sdk"


class Concealed:
    """A value that shows stars."""

    __slots__ = ("_value",)

    def __init__(self, value: Any) -> None:
        self._value = value

    def get_secret_value(self) -> Any:
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{secrecy.CONCEALED}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Concealed) and self._value == other._value

    def __hash__(self) -> int:
        return hash(Concealed)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere: pass its name, and load it where it is needed")


class Secret:
    """value: any JSON value; `get()` gives it, everything else shows stars."""

    def __init__(self, value: Any) -> None:
        self.value = value if isinstance(value, Concealed) else Concealed(value)

    def __repr__(self) -> str:
        return f"Secret(value={self.value!r})"

    def get(self) -> Any:
        return self.value.get_secret_value()

    @classmethod
    def load(cls, name: str, **_: Any) -> Any:
        """The secret of that name. Raises ObjectNotFound when there is none, and MissingContextError outside of a run."""
        return dispatched(_load(name))

    @classmethod
    async def aload(cls, name: str, **_: Any) -> "Secret":
        return await in_async(_load(name))

    def save(self, name: str, overwrite: bool = False, **_: Any) -> Any:
        """Keep it under `name`. Raises ValueError when there is one and `overwrite` is False."""
        return dispatched(_save(name, self.get(), overwrite))

    async def asave(self, name: str, overwrite: bool = False, **_: Any) -> None:
        await in_async(_save(name, self.get(), overwrite))


def _load(name: str) -> Steps[Secret]:
    frame = of_run()
    run = frame.session.run if frame is not None else None
    if run is None and name not in _here:
        raise MissingContextError(
            f"Secret.load({name!r}) needs a running flow: secrets are given to the client that executes a run"
        )
    wanted = LoadSecret(name=name, run_id=run.run_id if run else "", client_id=run.client_id if run else "")
    try:
        answer = None if run is None else (yield from command("registry", "load_secret", wanted))
    except NotFound as error:
        raise ObjectNotFound(error.detail) from None
    if answer is not None:
        value = msgspec.json.decode(_decode(answer).value)
    elif name in _here:
        value = _here[name]
    else:
        raise ObjectNotFound(f"there is no secret {name!r} in this process, and no running system")
    secrecy.learn(value)
    return Secret(value)


def _save(name: str, value: Any, overwrite: bool) -> Steps[None]:
    try:
        data = encode(value)
    except Exception:
        raise NotJSON(f"secret {name!r}: a {type(value).__qualname__} has no JSON form") from None
    secrecy.learn(value)
    wanted = SaveSecret(name=name, value=msgspec.Raw(data), save_id=ids.uuid7(), overwrite=overwrite, by=BY)
    try:
        answer = yield from command("registry", "save_secret", wanted)
    except Conflicting as error:
        raise ObjectAlreadyExists(f"{error.detail}: pass overwrite=True") from None
    if answer is None:
        if name in _here and not overwrite:
            raise ObjectAlreadyExists(f"there is a secret {name!r} already: pass overwrite=True")
        _here[name] = value


__getattr__ = names_of(__name__)
