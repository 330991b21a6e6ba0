"""An artifact of a run: `evolve(life, event, seq) -> life`, over its own events alone.

What an older epoch says after a newer one has saved it does not count. A change may stand without what it changes, when
that is not at hand: `kind` is None then, and everything else that was not said, too.
"""

from datetime import datetime

import msgspec

from perfect_schemas.envelope import StoredValue
from perfect_schemas.events.artifact import ArtifactSaved


class ArtifactLife(msgspec.Struct, frozen=True, kw_only=True):
    """Times are UTC. first_seq, last_seq: of its first and its last event."""

    id: str
    run_id: str
    kind: str | None
    key: str | None
    description: str | None
    data: StoredValue
    task_run_id: str | None
    task_key: str | None
    epoch: int
    created_at: datetime
    updated_at: datetime
    first_seq: int
    last_seq: int


def evolve(life: ArtifactLife | None, event: ArtifactSaved, seq: int) -> ArtifactLife:
    epoch = event.epoch or 0
    if life is None:
        return ArtifactLife(
            id=event.artifact_id,
            run_id=event.run_id or "",
            kind=event.kind,
            key=event.key,
            description=event.description,
            data=event.data,
            task_run_id=event.task_run_id,
            task_key=event.task_key,
            epoch=epoch,
            created_at=event.at,
            updated_at=event.at,
            first_seq=seq,
            last_seq=seq,
        )
    if epoch < life.epoch:
        return life
    is_change = event.kind is None
    return msgspec.structs.replace(
        life,
        kind=life.kind if is_change else event.kind,
        key=life.key if is_change else event.key,
        description=event.description or life.description if is_change else event.description,
        data=event.data,
        epoch=epoch,
        updated_at=event.at,
        last_seq=seq,
    )
