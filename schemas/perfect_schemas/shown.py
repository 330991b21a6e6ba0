"""From the fold of an artifact to what people and programs see."""

from perfect_schemas.folds.artifact import ArtifactLife
from perfect_schemas.views import ArtifactView


def artifact_view(life: ArtifactLife) -> ArtifactView:
    return ArtifactView(
        id=life.id,
        run_id=life.run_id,
        type=life.kind or "",
        key=life.key,
        description=life.description,
        data=life.data.value,
        created_at=life.created_at,
        updated_at=life.updated_at,
        task_run_id=life.task_run_id,
        task_key=life.task_key,
        ref=life.data.ref,
        size_bytes=life.data.size_bytes,
    )
