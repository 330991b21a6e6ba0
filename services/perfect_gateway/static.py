"""The browser assets, from memory: a dozen small files, compressed once."""

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.wire import AnyRequest
from perfect_schemas.errors import NotFound

FOR_EVER = "public, max-age=31536000, immutable"  # names below dist/ carry a content hash
ANEW = "no-cache"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


class Asset(msgspec.Struct, frozen=True):
    data: bytes
    packed: bytes | None
    kind: str
    tag: str
    age: str


def load(folder: Path) -> dict[str, Asset]:
    """Path below /static → file. Source maps and the manifest stay out."""
    found = {}
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if not file.is_file() or file.suffix in (".map", ".json") or file.name.startswith("."):
            continue
        data = file.read_bytes()
        packed = gzip.compress(data, 9, mtime=0)
        name = file.relative_to(folder).as_posix()
        kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        found[name] = Asset(
            data=data,
            packed=packed if len(packed) < 0.9 * len(data) else None,
            kind=kind,
            tag=f'"{hashlib.sha256(data).hexdigest()[:16]}"',
            age=FOR_EVER if name.startswith("dist/") else ANEW,
        )
    return found


def routes(folder: Path) -> list[Any]:
    assets = load(folder)

    @get("/static/{name:path}")
    async def asset(request: AnyRequest) -> Response[bytes]:
        name = str(request.path_params["name"]).lstrip("/")
        found = assets.get(name)
        if found is None:
            raise NotFound(f"there is no file {name!r} among the browser assets")
        headers = {"cache-control": found.age, "etag": found.tag, "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == found.tag:
            return Response(b"", status_code=304, headers=headers, media_type=found.kind)
        if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            return Response(found.packed, headers=headers, media_type=found.kind)
        return Response(found.data, headers=headers, media_type=found.kind)

    return [asset]
