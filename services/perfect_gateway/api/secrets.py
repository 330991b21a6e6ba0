"""Secrets: their names can be read, their values only be written."""

from typing import Any

import msgspec
from litestar import Response, delete, get, put

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, json
from perfect_schemas import commands, ids
from perfect_schemas.commands import SecretView
from perfect_schemas.errors import InvalidInput

BY = "api"


class SecretBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """value: any JSON. overwrite: whether one of the name may be replaced."""

    value: msgspec.Raw
    overwrite: bool = True


_decode = msgspec.json.Decoder(SecretBody).decode


def routes(parts: Parts) -> list[Any]:
    @get("/api/secrets", opt={"answers": {200: list[SecretView]}})
    async def secrets() -> Response[bytes]:
        """The names of all secrets. No value is ever answered."""
        return json(
            await parts.asker.command("registry", "secrets", commands.ShowSecrets(), list[SecretView])
        )

    @put(
        "/api/secrets/{name:str}", opt={"body": SecretBody, "answers": {200: SecretView}, "problems": (409,)}
    )
    async def save_secret(request: AnyRequest) -> Response[bytes]:
        """Save a secret. 409 when there is one of the name and `overwrite` is false."""
        try:
            wanted = _decode(await request.body())
        except msgspec.DecodeError:  # what is wrong might quote the value
            raise InvalidInput('the body of a secret is {"value": …}, and "overwrite" if you like') from None
        command = commands.SaveSecret(
            name=request.path_params["name"],
            value=wanted.value,
            save_id=ids.uuid7(),
            overwrite=wanted.overwrite,
            by=BY,
        )
        return json(await parts.asker.command("registry", "save_secret", command, SecretView))

    @delete("/api/secrets/{name:str}", status_code=204, opt={"answers": {204: None}})
    async def remove_secret(request: AnyRequest) -> None:
        """Remove a secret."""
        command = commands.RemoveSecret(name=request.path_params["name"], by=BY)
        await parts.asker.command("registry", "remove_secret", command, commands.Done)

    return [secrets, save_secret, remove_secret]
