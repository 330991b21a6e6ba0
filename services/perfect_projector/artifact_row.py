"""Artifacts as rows of `artifacts`, and how a batch gathers them: the tuple has the order of the columns in
`merge_artifacts` and `load_artifacts`.
"""

from collections.abc import Callable

import msgspec

from perfect_projector.batch import Batch, Row
from perfect_projector.values import instant, text, timestamp
from perfect_schemas.envelope import StoredValue
from perfect_schemas.events import ArtifactSaved
from perfect_schemas.folds import artifact as fold
from perfect_schemas.folds.artifact import ArtifactLife
from perfect_schemas.ids import is_id
from perfect_schemas.shown import artifact_view
from perfect_schemas.views import ArtifactView

COLUMNS = (
    "id", "run_id", "kind", "key", "description", "data", "ref", "size_bytes", "task_run_id", "task_key", "epoch",
    "created_at", "updated_at", "first_seq", "last_seq",
)  # fmt: skip
DATA = 5


def gather(batch: Batch, run_id: str, event: ArtifactSaved, seq: int) -> bool:
    """Fold the event into what the batch says of the artifact. False for an event with an id that is no id."""
    if not (is_id(run_id) and is_id(event.artifact_id)):
        return False
    _, life = batch.artifacts.get(event.artifact_id, (run_id, None))
    batch.artifacts[event.artifact_id] = (run_id, fold.evolve(life, event, seq))
    return True


def rows_of(batch: Batch) -> list[Row]:
    return [row_of(run_id, life) for run_id, life in batch.artifacts.values()]


def repair(batch: Batch, replace: Callable[[list[Row], dict[int, str | None]], int]) -> int:
    """Leave out the data that DuckDB refuses as JSON. replace(rows, places): see `Duck`. Returns how many there were."""
    rows = rows_of(batch)
    fixed = replace(rows, {DATA: "null"})
    for row in rows:
        if row[DATA] is None:
            run_id, life = batch.artifacts[row[0]]
            batch.artifacts[row[0]] = (run_id, msgspec.structs.replace(life, data=StoredValue()))
    return fixed


def row_of(run_id: str, life: ArtifactLife) -> Row:
    return (
        life.id,
        run_id,
        life.kind,
        life.key,
        life.description,
        text(life.data.value),
        life.data.ref,
        life.data.size_bytes,
        life.task_run_id if life.task_run_id is not None and is_id(life.task_run_id) else None,
        life.task_key,
        life.epoch,
        timestamp(life.created_at),
        timestamp(life.updated_at),
        life.first_seq,
        life.last_seq,
    )


def view_of(row: Row) -> ArtifactView:
    (
        artifact_id, run_id, kind, key, description, data, ref, size_bytes, task_run_id, task_key, epoch, created_at,
        updated_at, first_seq, last_seq,
    ) = row  # fmt: skip
    return artifact_view(
        ArtifactLife(
            id=artifact_id,
            run_id=run_id,
            kind=kind,
            key=key,
            description=description,
            data=StoredValue(value=msgspec.Raw(data.encode()), ref=ref, size_bytes=size_bytes),
            task_run_id=task_run_id,
            task_key=task_key,
            epoch=epoch,
            created_at=instant(created_at),  # type: ignore[arg-type]
            updated_at=instant(updated_at),  # type: ignore[arg-type]
            first_seq=first_seq,
            last_seq=last_seq,
        )
    )
