"""What a run shows to people: a text, a table, a link, an image, a progress bar. Subject: `perfect.evt.task.<run_id>`.

Said by the worker that executes the run, without waiting. The id follows from the run and the place in its code, so a
replay that passes the place again saves the same artifact, and nothing is doubled.
"""

from typing import Literal

from perfect_schemas.envelope import Event, StoredValue

ArtifactKind = Literal["markdown", "link", "table", "progress", "image"]


class ArtifactSaved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="artifact.saved"):
    """kind: None says that an artifact of this run, which is there, has changed; then key is None, too, and description
    when it stays as it is.

    data: markdown: the text; link: {"link", "text"}; table: a list of rows (objects or lists) or an object of columns;
    progress: a number 0–100; image: its URL. dispatch_id: as in the events of tasks.
    """

    artifact_id: str
    data: StoredValue
    kind: ArtifactKind | None = None
    key: str | None = None
    description: str | None = None
    dispatch_id: str | None = None
