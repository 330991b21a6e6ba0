"""Artifacts: what runs show to people."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get
from nats.js.errors import NotFoundError, ObjectNotFoundError

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, json, page, query, run_id
from perfect_schemas import queries
from perfect_schemas.errors import NotFound
from perfect_schemas.ids import is_id
from perfect_schemas.views import ArtifactView

Limit = Annotated[int, msgspec.Meta(ge=1, le=200)]


class ArtifactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """key: just those that were saved with it."""

    key: str | None = None
    limit: Limit = 50
    cursor: str | None = None


class _Page(msgspec.Struct):
    artifacts: msgspec.Raw
    next: str | None = None


_decode_page = msgspec.json.Decoder(_Page).decode


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/engine/runs/{run_id:str}/artifacts",
        opt={"query": ArtifactQuery, "answers": {200: list[ArtifactView]}},
    )
    async def of_run(request: AnyRequest) -> Response[bytes]:
        """What the run shows, in the order in which it was made."""
        wanted, wanted_id = query(request, ArtifactQuery), run_id(request)
        asked = queries.ArtifactPage(
            run_id=wanted_id, key=wanted.key, limit=wanted.limit, cursor=wanted.cursor
        )
        found = _decode_page((await parts.asker.of_run("artifacts", asked, wanted_id)).value)
        return page(request, bytes(found.artifacts), found.next)

    @get("/api/artifacts", opt={"query": ArtifactQuery, "answers": {200: list[ArtifactView]}})
    async def artifacts(request: AnyRequest) -> Response[bytes]:
        """Artifacts of all runs, the one that changed last first; `key=` for those that belong together."""
        wanted = query(request, ArtifactQuery)
        asked = queries.ArtifactPage(key=wanted.key, limit=wanted.limit, cursor=wanted.cursor)
        found = _decode_page((await parts.asker.query("artifacts", asked)).value)
        return page(request, bytes(found.artifacts), found.next)

    @get("/api/artifacts/{artifact_id:str}", opt={"answers": {200: ArtifactView}})
    async def artifact(request: AnyRequest) -> Response[bytes]:
        """One artifact with all of its data, however large."""
        wanted = str(request.path_params["artifact_id"])
        found: list[ArtifactView] = []
        if is_id(wanted):
            asked = queries.ArtifactPage(id=wanted, limit=1)
            found = (await parts.asker.value("artifacts", asked, queries.Artifacts))[0].artifacts
        if not found:
            raise NotFound(f"there is no artifact {wanted!r}")
        return json(await _whole(parts, found[0]))

    return [of_run, artifacts, artifact]


async def _whole(parts: Parts, view: ArtifactView) -> ArtifactView:
    if view.ref is None:
        return view
    try:
        stored = await (await parts.bus.results()).get(view.ref)
    except (ObjectNotFoundError, NotFoundError):
        raise NotFound(f"the data of artifact {view.id} is not in the object store any more") from None
    return msgspec.structs.replace(view, data=msgspec.Raw(stored.data or b"null"))
