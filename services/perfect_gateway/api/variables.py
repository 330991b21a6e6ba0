"""Variables: values that flows read by name."""

from typing import Any

import msgspec
from litestar import Response, delete, get, put

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, body, json
from perfect_schemas import commands, ids
from perfect_schemas.commands import VariableView

BY = "api"


class VariableBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """value: any JSON. overwrite: whether one that is there may be replaced."""

    value: msgspec.Raw
    tags: list[str] = []
    overwrite: bool = True


def routes(parts: Parts) -> list[Any]:
    @get("/api/variables", opt={"answers": {200: list[VariableView]}})
    async def variables() -> Response[bytes]:
        """All variables by name."""
        found = await parts.asker.command(
            "registry", "variables", commands.ShowVariables(), list[VariableView]
        )
        return json(found)

    @get("/api/variables/{name:str}", opt={"answers": {200: VariableView}})
    async def variable(request: AnyRequest) -> Response[bytes]:
        """One variable."""
        asked = commands.ShowVariable(name=request.path_params["name"])
        return json(await parts.asker.command("registry", "variable", asked, VariableView))

    @put(
        "/api/variables/{name:str}",
        opt={"body": VariableBody, "answers": {200: VariableView}, "problems": (409,)},
    )
    async def set_variable(request: AnyRequest) -> Response[bytes]:
        """Set a variable. 409 when there is one and `overwrite` is false."""
        wanted = await body(request, VariableBody)
        command = commands.SetVariable(
            name=request.path_params["name"],
            value=wanted.value,
            tags=wanted.tags,
            overwrite=wanted.overwrite,
            by=BY,
            set_id=ids.uuid7(),
        )
        return json(await parts.asker.command("registry", "set_variable", command, VariableView))

    @delete("/api/variables/{name:str}", status_code=204, opt={"answers": {204: None}})
    async def remove_variable(request: AnyRequest) -> None:
        """Remove a variable."""
        command = commands.RemoveVariable(name=request.path_params["name"], by=BY)
        await parts.asker.command("registry", "remove_variable", command, commands.Done)

    return [variables, variable, set_variable, remove_variable]
