"""The OpenAPI document, made from what the routes say of themselves in `opt`, and served at /schema.

JSON only: a page that shows it would need a viewer of a megabyte and inline scripts, which our policy forbids.
"""

import re
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.wire import json
from perfect_schemas.errors import Problem

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+):\w+\}")


def document(handlers: list[Any], version: str) -> dict[str, Any]:
    """Pure. `handlers`: Litestar route handlers; those without `answers` in `opt` are pages and left out."""
    described = [handler for handler in handlers if "answers" in handler.opt]
    kinds: list[Any] = [Problem]
    for handler in described:
        kinds += [kind for kind in handler.opt["answers"].values() if kind not in (None, str)]
        kinds += [handler.opt[key] for key in ("query", "body") if key in handler.opt]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    refs = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for handler in described:
        for path in sorted(handler.paths):
            for method in sorted(handler.http_methods):
                paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})[method.lower()] = _operation(
                    handler, path, refs, components
                )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Perfect", "version": version or "0"},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components},
    }


def _operation(handler: Any, path: str, refs: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    doc = " ".join((handler.fn.__doc__ or "").split())
    operation: dict[str, Any] = {
        "summary": doc.partition(". ")[0].removesuffix("."),
        "description": doc,
        "operationId": f"{handler.fn.__name__}{'_'.join(_PARAMETER.sub('', path).split('/'))}".rstrip("_"),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(path)
        ],
        "responses": {
            str(status): _answer(kind, refs, handler.opt.get("examples", {}).get(status))
            for status, kind in handler.opt["answers"].items()
        }
        | {
            "default": {
                "description": "A problem",
                "content": {"application/problem+json": {"schema": refs_of(Problem, refs)}},
            }
        },
    }
    if "query" in handler.opt:
        schema = components[handler.opt["query"].__name__]
        operation["parameters"] += [
            {"name": name, "in": "query", "required": False, "schema": shape}
            for name, shape in schema["properties"].items()
        ]
    if "body" in handler.opt:
        operation["requestBody"] = {
            "required": not handler.opt.get("optional", False),
            "content": {
                "application/json": {"schema": refs[id(handler.opt["body"])]} | _example(handler.opt)
            },
        }
    return operation


def refs_of(kind: Any, refs: dict[int, Any]) -> Any:
    return refs[id(kind)]


def _example(opt: dict[str, Any]) -> dict[str, Any]:
    return {"example": opt["example"]} if "example" in opt else {}


def _answer(kind: Any, refs: dict[int, Any], example: Any = None) -> dict[str, Any]:
    if kind is None:
        return {"description": "No body, or text"}
    if kind is str:
        return {"description": "A stream", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    shown = {"schema": refs[id(kind)]} | ({"example": example} if example is not None else {})
    return {"description": "The answer", "content": {"application/json": shown}}


def routes(handlers: list[Any], version: str) -> list[Any]:
    made: list[bytes] = []

    @get(["/schema", "/schema/openapi.json"])
    async def schema() -> Response[bytes]:
        if not made:
            made.append(msgspec.json.encode(document(handlers, version)))
        return json(made[0])

    return [schema]
