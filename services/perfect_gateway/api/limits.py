"""Named limits: who may be in at once, who is, who waits."""

from typing import Any

import msgspec
from litestar import Response, delete, get, put

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, body, json
from perfect_schemas import commands
from perfect_schemas.commands import LimitView
from perfect_schemas.errors import NotFound

BY = "api"


class LimitBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """slots: how many holders at once; 0 lets nobody in. slot_decay_per_second: of a rate, how many slots come back in a
    second.
    """

    slots: int
    slot_decay_per_second: float = 0.0


def name_of(request: AnyRequest) -> str:
    """A flow's name, and so its limit's, may have slashes."""
    return str(request.path_params["name"]).removeprefix("/")


async def limits_of(parts: Parts) -> list[LimitView]:
    return await parts.asker.command("engine", "limits", commands.ShowLimits(), list[LimitView])


async def limit_of(parts: Parts, name: str) -> LimitView:
    """Raises NotFound."""
    for limit in await limits_of(parts):
        if limit.name == name:
            return limit
    raise NotFound(f"there is no limit {name!r}")


def routes(parts: Parts) -> list[Any]:
    @get("/api/engine/limits", opt={"answers": {200: list[LimitView]}})
    async def limits() -> Response[bytes]:
        """All named limits with their holders and those who wait, next first."""
        return json(await limits_of(parts))

    @get("/api/engine/limits/{name:path}", opt={"answers": {200: LimitView}})
    async def limit(request: AnyRequest) -> Response[bytes]:
        """One limit."""
        return json(await limit_of(parts, name_of(request)))

    @put("/api/engine/limits/{name:path}", opt={"body": LimitBody, "answers": {200: LimitView}})
    async def set_limit(request: AnyRequest) -> Response[bytes]:
        """Set how many may hold the name at once. `flow:<flow name>` limits the runs of that flow."""
        name, wanted = name_of(request), await body(request, LimitBody)
        command = commands.SetLimit(
            name=name, slots=wanted.slots, by=BY, slot_decay_per_second=wanted.slot_decay_per_second
        )
        await parts.asker.command("engine", "set_limit", command, commands.Done)
        return json(await limit_of(parts, name))

    @delete(
        "/api/engine/limits/{name:path}", status_code=204, opt={"answers": {204: None}, "problems": (409,)}
    )
    async def remove_limit(request: AnyRequest) -> None:
        """Remove a limit: whoever waits for it goes on at once."""
        command = commands.RemoveLimit(name=name_of(request), by=BY)
        await parts.asker.command("engine", "remove_limit", command, commands.Done)

    return [limits, limit, set_limit, remove_limit]
