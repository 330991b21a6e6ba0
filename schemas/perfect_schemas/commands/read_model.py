"""The projector's: what it is to forget, and copies of its file."""

import msgspec


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.projector.forget`: what stands on `subject` of DEFS up to the sequence `through` is not needed there
    any more: it goes as soon as the read model's log holds it. Answer: Done.
    """

    subject: str
    through: int


class CopyReadModel(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.projector.copy`: write a copy of the DuckDB file as of now, for a backup. Answer: ReadModelCopy.

    copy_id: of the file; a repeat waits for the copy that is being written.
    """

    copy_id: str


class ReadModelCopy(msgspec.Struct, frozen=True, kw_only=True):
    """file: on the projector's host; whoever asked for it takes it away. offsets: stream → the last sequence in it.
    schema_version: of its tables.
    """

    file: str
    bytes: int
    schema_version: int
    offsets: dict[str, int]


class ReplaceReadModel(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.projector.replace`: put the tables of a rebuilt file in the place of the live ones, once they are as
    far. Answer: Done. file: in the folder `rebuild` beside the live file.
    """

    file: str


class ReadPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What the projector says after its commits: the last sequence on EVENTS that the read model shows."""

    events: int
