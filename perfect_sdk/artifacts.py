r"""Artifacts: what a run shows to people, on its page and by `Artifact.get`: texts, tables, links, images, progress.

    from perfect_sdk.artifacts import create_markdown_artifact

    create_markdown_artifact("# Sales\n**+4 %** since yesterday", key="sales")

An artifact's id follows from the run and the place in its code: a resumed run that passes the place again saves the same
one again. A `key` (letters, digits, dashes, underscores) ties artifacts of several runs together: `Artifact.get(key)` is the newest of them.
In async code the functions return a coroutine; those that begin with `a` always do.
"""

import math
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids, queries, subjects
from perfect_schemas.envelope import StoredValue
from perfect_schemas.events.artifact import ArtifactKind, ArtifactSaved
from perfect_sdk import results
from perfect_sdk.connecting.services import ask, dispatched, in_async
from perfect_sdk.context import Frame, current, require
from perfect_sdk.encoding import secrecy
from perfect_sdk.encoding.values import encode, to_builtins
from perfect_sdk.exceptions import InvalidInput, NotJSON, NotSupported
from perfect_sdk.recording import artifact_pace
from perfect_sdk.running.effects import Blocking, Steps

if TYPE_CHECKING:
    from perfect_schemas.views import ArtifactView
    from perfect_sdk.running.session import RunSession

__all__ = [
    "Artifact",
    "acreate_image_artifact",
    "acreate_link_artifact",
    "acreate_markdown_artifact",
    "acreate_progress_artifact",
    "acreate_table_artifact",
    "aupdate_progress_artifact",
    "create_image_artifact",
    "create_link_artifact",
    "create_markdown_artifact",
    "create_progress_artifact",
    "create_table_artifact",
    "update_progress_artifact",
]

Table = dict[str, list[Any]] | list[dict[str, Any]] | list[list[Any]]
KEY_LENGTH = 255
_KEY = re.compile(rf"[A-Za-z0-9_-]{{1,{KEY_LENGTH}}}", re.ASCII).fullmatch


def create_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None, **_: Any
) -> Any:
    """A link that people can follow (http, https, mailto, or relative). Returns the artifact's id."""
    return dispatched(_save("link", {"link": link, "text": link_text or link}, key, description))


async def acreate_link_artifact(
    link: str, link_text: str | None = None, key: str | None = None, description: str | None = None, **_: Any
) -> uuid.UUID:
    return await in_async(_save("link", {"link": link, "text": link_text or link}, key, description))


def create_markdown_artifact(markdown: str, key: str | None = None, description: str | None = None) -> Any:
    """A text in Markdown (with tables); HTML in it is shown as text. Returns the artifact's id."""
    return dispatched(_save("markdown", markdown, key, description))


async def acreate_markdown_artifact(
    markdown: str, key: str | None = None, description: str | None = None
) -> uuid.UUID:
    return await in_async(_save("markdown", markdown, key, description))


def create_table_artifact(table: Table, key: str | None = None, description: str | None = None) -> Any:
    """A table: a list of rows, each an object or a list, or an object of columns. Returns the artifact's id."""
    return dispatched(_save("table", table, key, description))


async def acreate_table_artifact(
    table: Table, key: str | None = None, description: str | None = None
) -> uuid.UUID:
    return await in_async(_save("table", table, key, description))


def create_image_artifact(image_url: str, key: str | None = None, description: str | None = None) -> Any:
    """An image, by its URL (http, https, relative, or data:image). Returns the artifact's id."""
    return dispatched(_save("image", image_url, key, description))


async def acreate_image_artifact(
    image_url: str, key: str | None = None, description: str | None = None
) -> uuid.UUID:
    return await in_async(_save("image", image_url, key, description))


def create_progress_artifact(progress: float, key: str | None = None, description: str | None = None) -> Any:
    """A bar that moves as `update_progress_artifact` is called. progress: 0–100. Returns the artifact's id."""
    return dispatched(_save("progress", progress, key, description))


async def acreate_progress_artifact(
    progress: float, key: str | None = None, description: str | None = None
) -> uuid.UUID:
    return await in_async(_save("progress", progress, key, description))


def update_progress_artifact(
    artifact_id: uuid.UUID | str, progress: float, description: str | None = None, **_: Any
) -> Any:
    """Move the bar of a progress artifact of this run, or of the run that called it. progress: 0–100."""
    return dispatched(_update(artifact_id, progress, description))


async def aupdate_progress_artifact(
    artifact_id: uuid.UUID | str, progress: float, description: str | None = None, **_: Any
) -> uuid.UUID:
    return await in_async(_update(artifact_id, progress, description))


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact as it was saved. type: markdown, link, table, progress or image. data: of a link Markdown, as Prefect
    has it; of the others what was given.
    """

    id: str
    type: str
    key: str | None
    description: str | None
    data: Any
    flow_run_id: str
    task_run_id: str | None
    created: datetime
    updated: datetime

    @classmethod
    def get(cls, key: str | None = None, **_: Any) -> Any:
        """The newest artifact with the key, None when there is none. What this run has saved itself is seen at once."""
        return dispatched(_newest(key))

    @classmethod
    async def aget(cls, key: str | None = None, **_: Any) -> "Artifact | None":
        return await in_async(_newest(key))

    @classmethod
    def get_or_create(cls, *_: Any, **__: Any) -> Any:
        raise NotSupported(
            "get_or_create() is not supported: create_markdown_artifact() and its siblings save an artifact, "
            "Artifact.get(key) finds it"
        )


def _save(kind: ArtifactKind, data: Any, key: str | None, description: str | None) -> Steps[uuid.UUID]:
    frame = require(f"create_{kind}_artifact()")
    frame.check()
    if key is not None and not (isinstance(key, str) and _KEY(key)):
        raise InvalidInput(
            f"the key of an artifact is 1 to {KEY_LENGTH} letters, digits, dashes or underscores, not {key!r}"
        )
    _check(kind, data)
    run_id = frame.session.run.run_id
    artifact_id = ids.artifact_id(run_id, frame.scope.mark("artifact"))
    stored = yield from _stored(frame, kind, data)
    _say(frame, frame.session, artifact_id, stored, kind=kind, key=key, description=description)
    return uuid.UUID(artifact_id)


def _update(artifact_id: uuid.UUID | str, progress: float, description: str | None) -> Steps[uuid.UUID]:
    frame = require("update_progress_artifact()")
    frame.check()
    _check("progress", progress)
    try:
        wanted = uuid.UUID(str(artifact_id))
    except ValueError:
        raise InvalidInput(f"{artifact_id!r} is no artifact's id") from None
    stored = yield from _stored(frame, "progress", progress)
    _say(frame, _owner(frame.session, str(wanted)), str(wanted), stored, description=description)
    return wanted


def _owner(session: "RunSession", artifact_id: str) -> "RunSession":
    """The run whose artifact it is: this one or one that called it. One that none of them knows was made by the outermost,
    a part of which runs here for another worker.
    """
    while artifact_id not in session.artifacts and artifact_id not in session.saved:
        if session.caller is None:
            break
        session = session.caller.session
    return session


def _check(kind: ArtifactKind, data: Any) -> None:
    if kind == "progress":
        is_number = isinstance(data, (int, float)) and not isinstance(data, bool)
        if not is_number or not math.isfinite(data) or not 0 <= data <= 100:
            raise InvalidInput(f"progress is a number from 0 to 100, not {data!r}")
    elif kind == "table":
        rows = list(data.values()) if isinstance(data, dict) else data
        if not isinstance(rows, (list, tuple)) or not all(
            isinstance(row, (list, tuple, dict)) for row in rows
        ):
            raise InvalidInput("a table is a list of rows (objects or lists) or an object of columns (lists)")
    elif kind == "link":
        _check_text("a link", data["link"])
        _check_text("a link's text", data["text"])
    else:
        _check_text("a Markdown artifact" if kind == "markdown" else "an image's URL", data)


def _check_text(what: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidInput(f"{what} is a text, not a {type(value).__qualname__}")


def _stored(frame: Frame, kind: ArtifactKind, data: Any) -> Steps[StoredValue]:
    try:
        encoded = encode(secrecy.conceal_in(_plain(data) if kind == "table" else data))
    except Exception as error:
        raise NotJSON(f"the {kind} of an artifact has no JSON form: {error}") from error
    if not results.is_large(encoded):
        return results.inline(encoded, "json")
    name = f"{frame.session.run.run_id}/{ids.uuid7()}"
    ref = yield Blocking(lambda: frame.session.journal.store(name, encoded))
    return results.by_reference(ref, encoded, "json")


def _plain(table: Any) -> Any:
    """With every cell as JSON, or as its text: a table may hold dates, decimals and the like."""
    if isinstance(table, dict):
        return {str(key): _plain(value) for key, value in table.items()}
    if isinstance(table, (list, tuple)):
        return [_plain(value) for value in table]
    try:
        return to_builtins(table)
    except Exception:
        return str(table)


def _say(
    frame: Frame,
    session: "RunSession",
    artifact_id: str,
    data: StoredValue,
    *,
    kind: ArtifactKind | None = None,
    key: str | None = None,
    description: str | None = None,
) -> None:
    call = frame.call if session is frame.session else None
    event = session.event(
        ArtifactSaved,
        task_run_id=call.id if call is not None else None,
        task_key=call.place.key if call is not None else None,
        attempt=call.attempt if call is not None else None,
        artifact_id=artifact_id,
        data=data,
        kind=kind,
        key=key,
        description=None if description is None else secrecy.conceal(str(description)),
    )
    if kind is not None:
        session.artifacts[artifact_id] = event
    elif (made := session.artifacts.get(artifact_id)) is not None:
        session.artifacts[artifact_id] = msgspec.structs.replace(
            made, at=event.at, data=data, description=event.description or made.description
        )
    if kind in (None, "progress"):
        artifact_pace.say(session, event)
    else:
        session.emit(event)


def _newest(key: str | None) -> Steps["Artifact | None"]:
    frame = current.get()
    page = queries.ArtifactPage(key=key, limit=1)
    answer = yield from ask(subjects.query("artifacts"), page)
    found: Artifact | None = None
    if answer is not None:
        views = msgspec.json.decode(answer, type=queries.Artifacts).artifacts
        if views:
            found = yield from _of_view(frame, views[0])
    own = _own(frame, key) if frame is not None else None
    if own is None or (found is not None and found.updated > own.at):
        return found
    assert frame is not None
    return Artifact(
        id=own.artifact_id,
        type=own.kind or "progress",
        key=own.key,
        description=own.description,
        data=_shown(own.kind, (yield from _loaded(frame, own.data))),
        flow_run_id=own.run_id or "",
        task_run_id=own.task_run_id,
        created=own.at,
        updated=own.at,
    )


def _own(frame: Frame, key: str | None) -> ArtifactSaved | None:
    """The newest that this run, or one that called it, has saved in this process."""
    session: RunSession | None = frame.session
    while session is not None:
        mine = [event for event in session.artifacts.values() if key is None or event.key == key]
        if mine:
            return max(mine, key=lambda event: event.at)
        session = session.caller.session if session.caller is not None else None
    return None


def _of_view(frame: Frame | None, view: "ArtifactView") -> Steps[Artifact]:
    stored = StoredValue(value=view.data, ref=view.ref)
    value: Any = None
    if stored.ref is None or frame is not None:
        value = yield from _loaded(frame, stored)
    return Artifact(
        id=view.id,
        type=view.type,
        key=view.key,
        description=view.description,
        data=_shown(view.type, value),
        flow_run_id=view.run_id,
        task_run_id=view.task_run_id,
        created=view.created_at,
        updated=view.updated_at,
    )


def _loaded(frame: Frame | None, stored: StoredValue) -> Steps[Any]:
    if stored.ref is None or frame is None:
        return msgspec.json.decode(stored.value)
    data = yield Blocking(lambda: frame.session.journal.load(stored))
    return msgspec.json.decode(data)


def _shown(kind: str | None, value: Any) -> Any:
    return f"[{value['text']}]({value['link']})" if kind == "link" and value else value
