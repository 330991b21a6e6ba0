"""Variables and secrets, kept by the registry. A secret's value is in no event, no log and no representation."""

from datetime import datetime

import msgspec


class SetVariable(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.set_variable`. Answer: VariableView. Conflicting when there is one and it is not to be
    overwritten, unless this very command has set it: set_id says which command it is, the same for a repeat of it.
    """

    name: str
    value: msgspec.Raw
    tags: list[str] = []
    overwrite: bool = False
    by: str = ""
    set_id: str = ""


class RemoveVariable(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.remove_variable`. Answer: Done, or NotFound."""

    name: str
    by: str = ""


class ShowVariable(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.variable`. Answer: VariableView as of now, or NotFound."""

    name: str


class ShowVariables(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.variables`. Answer: list[VariableView] by name."""


class VariableView(msgspec.Struct, frozen=True, kw_only=True):
    """value: any JSON. updated_at: when it was set last."""

    name: str
    value: msgspec.Raw
    tags: list[str]
    updated_at: datetime
    by: str = ""


class _Concealed(msgspec.Struct, frozen=True, kw_only=True):
    """What carries a secret's value: it shows its name alone."""

    name: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, value=********)"


class SaveSecret(_Concealed, frozen=True, kw_only=True):
    """`perfect.cmd.registry.save_secret`. Answer: SecretView. value: any JSON. Conflicting when there is one of the name
    and it is not to be overwritten.

    save_id: made by the caller; a repeat of a save that was done is answered like the first.
    """

    value: msgspec.Raw
    save_id: str
    overwrite: bool = False
    by: str = ""

    __repr__ = _Concealed.__repr__


class LoadSecret(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.load_secret`. Answer: SecretValue. Rejected unless `client_id` executes the run, or one of its
    distributed tasks, just now.
    """

    name: str
    run_id: str
    client_id: str


class SecretValue(_Concealed, frozen=True, kw_only=True):
    value: msgspec.Raw

    __repr__ = _Concealed.__repr__


class RemoveSecret(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.remove_secret`. Answer: Done, or NotFound."""

    name: str
    by: str = ""


class ShowSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.secrets`. Answer: list[SecretView] by name."""


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    saved_at: datetime
    by: str = ""
