"""The OpenAPI document, made from what the routes say of themselves in `opt`, and served at /schema; for people /api/docs.

In `opt`: `answers` {status: type, None for no JSON, str for a stream}; `query`, `body` (types; `optional`: the body may be
left out); `problems` (statuses of problems beside those that follow from the route's shape); `kinds` {media type: what it
is} of further forms of the answer; `location` (the answer says where what it made is); `example`, `examples` {status: …}
in place of those that `sample` makes up.
"""

import re
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.field_words import moments_of, words_of
from perfect_gateway.pages import api as api_page
from perfect_gateway.sample import sample
from perfect_gateway.wire import json
from perfect_schemas.errors import Problem

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+):\w+\}")
_ANY = (400, 500, 503, 504)  # a foreign Host; a fault of ours; a service that does not answer, or too late
_PROBLEMS = {
    400: "The request is not one that this server takes: its Host is not a name of it, or its body is not JSON.",
    403: "A page of another site may not change anything here.",
    404: "There is no such thing, or none any more.",
    409: "It is not in a state that allows this.",
    413: "The body is larger than this server takes; pass large values by reference.",
    422: "Something that was sent is wrong; `errors` names each field.",
    429: "Too many ask at once: try again after `Retry-After` seconds.",
    500: "A fault of this server; its log has the whole error.",
    503: "A service or the bus does not answer just now: try again after `Retry-After` seconds.",
    504: "It was answered too late.",
}
_IDS = {"run_id", "other_id", "artifact_id", "schedule_id"}
_PATH_WORDS = {
    "run_id": "The run's id, a UUID.",
    "other_id": "The id of the run that it is compared with.",
    "artifact_id": "The artifact's id, a UUID.",
    "schedule_id": "The schedule's id, a UUID.",
    "flow_id": "The flow's id or its name.",
    "task_id": "The task's id or its name.",
    "deployment": "The deployment's name.",
    "name": "Its name.",
}
_ABOUT = (
    "Lists are JSON arrays of at most `limit` entries; the next page is in the `Link` header (`rel=next`), whose cursor "
    "is a token that means nothing by itself. Times are ISO 8601 in UTC, durations in milliseconds, progress is 0-100. "
    "What goes wrong is answered with problem details (RFC 9457). Answers of GET carry an `ETag`: sent back in "
    "`If-None-Match`, an unchanged answer is a 304 without a body."
)


def document(handlers: list[Any], version: str) -> dict[str, Any]:
    """Pure. `handlers`: Litestar route handlers; those without `answers` in `opt` are pages and left out."""
    described = [handler for handler in handlers if "answers" in handler.opt]
    kinds: list[Any] = [Problem]
    for handler in described:
        kinds += [kind for kind in handler.opt["answers"].values() if kind not in (None, str)]
        kinds += [handler.opt[key] for key in ("query", "body") if key in handler.opt]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    for kind in kinds:
        _say_moments(kind, components)
    refs = {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for handler in described:
        for path in sorted(handler.paths):
            for method in sorted(handler.http_methods):
                paths.setdefault(_PARAMETER.sub(r"{\1}", path), {})[method.lower()] = _operation(
                    handler, path, method, refs, components
                )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Perfect", "version": version or "0", "description": _ABOUT},
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [{"name": tag} for tag in sorted({_tag(path) for path in paths})],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "responses": {f"problem_{status}": _problem(status) for status in _PROBLEMS},
        },
    }


def _say_moments(kind: Any, components: dict[str, Any]) -> None:
    """Msgspec names no format for moments whose zone is left open."""
    for name, fields in moments_of(kind).items():
        for field in fields:
            shape = components[name]["properties"][field]
            for part in (shape, shape.get("items", {}), *shape.get("anyOf", ())):
                if part.get("type") == "string":
                    part["format"] = "date-time"


def _tag(path: str) -> str:
    parts = [part for part in path.split("/") if part and part not in ("api", "engine")]
    return {"trigger": "runs", "register": "flows", "metrics": "health", "client": "clients"}.get(
        parts[0], parts[0]
    )


def _operation(
    handler: Any, path: str, method: str, refs: dict[int, Any], components: dict[str, Any]
) -> dict[str, Any]:
    opt = handler.opt
    doc = " ".join((handler.fn.__doc__ or "").split())
    is_kept = method == "GET" and 503 not in opt["answers"] and opt["answers"].get(200) not in (None, str)
    operation: dict[str, Any] = {
        "tags": [_tag(path)],
        "summary": doc.partition(". ")[0].partition(": ")[0].removesuffix("."),
        "description": doc,
        "operationId": _operation_id(handler, path),
        "parameters": [_path_parameter(name, path) for name in _PARAMETER.findall(path)],
        "responses": {
            str(status): _answer(handler, status, kind, refs, components, is_kept=is_kept)
            for status, kind in opt["answers"].items()
        },
    }
    if "query" in opt:
        operation["parameters"] += _query_parameters(opt["query"], components)
    if is_kept:
        operation["parameters"].append(_header("If-None-Match", "The `ETag` of an answer that you have."))
        operation["responses"]["304"] = {
            "description": "Nothing has changed since the answer of that `ETag`."
        }
    if str in opt["answers"].values() and "after" in getattr(opt.get("query"), "__struct_fields__", ()):
        operation["parameters"].append(_header("Last-Event-ID", "The id of the last message that you have."))
    if "body" in opt:
        schema = refs[id(opt["body"])]
        operation["requestBody"] = {
            "required": not opt.get("optional", False),
            "content": {
                "application/json": {
                    "schema": schema,
                    "example": opt["example"] if "example" in opt else sample(schema, components),
                }
            },
        }
    for status in problems(opt, path, method):
        operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/problem_{status}"})
    return operation


def _operation_id(handler: Any, path: str) -> str:
    """Where a handler has several paths, their parameters tell them apart."""
    words = _PARAMETER.sub(r"\1" if len(handler.paths) > 1 else "", path)
    return f"{handler.fn.__name__}{'_'.join(words.split('/'))}".rstrip("_")


def problems(opt: dict[str, Any], path: str, method: str) -> list[int]:
    """Pure. The statuses of the problems that a route may answer with."""
    found = {*_ANY, *opt.get("problems", ())}
    if method != "GET":
        found |= {403, 413}
    if "{" in path:
        found.add(404)
    if "query" in opt or "body" in opt:
        found.add(422)
    return sorted(found)


def _path_parameter(name: str, path: str) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "string", "minLength": 1}
    if name in _IDS:
        shape = {"type": "string", "format": "uuid"}
    if name == "run_id" and path.endswith("/diff/{other_id:str}"):
        shape = {"anyOf": [shape, {"const": "previous"}]}
    return {
        "name": name, "in": "path", "required": True, "description": _PATH_WORDS.get(name, f"The {name.replace('_', ' ')}."), "schema": shape,
        "example": sample({"type": "string"}, {}, name),
    }  # fmt: skip


def _query_parameters(kind: Any, components: dict[str, Any]) -> list[dict[str, Any]]:
    words = _COMMON_WORDS | words_of(kind)
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": words.get(name, ""),
            "schema": _without_null(shape),
        }
        for name, shape in components[kind.__name__]["properties"].items()
    ]


_COMMON_WORDS = {
    "limit": "How many at most.",
    "cursor": "Where the page begins: from the `Link` header of the page before.",
}


def _without_null(shape: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out; it cannot be null."""
    parts = [part for part in shape.get("anyOf", ()) if part.get("type") != "null"]
    if not parts:
        return shape
    rest = {key: value for key, value in shape.items() if key != "anyOf" and value is not None}
    return (parts[0] if len(parts) == 1 else {"anyOf": parts}) | rest


def _header(name: str, words: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": words,
        "schema": {"type": "string"},
    }


def _answer(
    handler: Any, status: int, kind: Any, refs: dict[int, Any], components: dict[str, Any], *, is_kept: bool
) -> dict[str, Any]:
    opt = handler.opt
    answer: dict[str, Any] = {"description": _ANSWERS.get(status, "The answer.")}
    headers: dict[str, Any] = {}
    content: dict[str, Any] = {}
    if kind is str:
        answer["description"] = "Server-sent events, for as long as the connection is open."
        content["text/event-stream"] = {"schema": {"type": "string"}}
    elif kind is not None:
        schema = refs[id(kind)]
        given = opt.get("examples", {})
        shown = given[status] if status in given else sample(schema, components)
        content["application/json"] = {"schema": schema, "example": shown}
    if status == HTTPStatus.OK:
        for name, words in opt.get("kinds", {}).items():
            content[name] = {"schema": {"type": "string", "description": words}}
    if "cursor" in getattr(opt.get("query"), "__struct_fields__", ()):
        headers["Link"] = {"description": "The next page, when there is one.", "schema": {"type": "string"}}
    if opt.get("location") or status == HTTPStatus.CREATED:
        headers["Location"] = {"description": "Where it is.", "schema": {"type": "string"}}
    if is_kept:
        headers["ETag"] = {"description": "Of just this answer.", "schema": {"type": "string"}}
    return answer | ({"headers": headers} if headers else {}) | ({"content": content} if content else {})


_ANSWERS = {
    200: "The answer.",
    201: "It is made.",
    202: "It is taken on; it happens now, or soon.",
    204: "It is done.",
    503: "At least one service is not ready; the entries say which.",
}


def _problem(status: int) -> dict[str, Any]:
    example: dict[str, Any] = {
        "type": "about:blank", "status": status, "title": HTTPStatus(status).phrase, "detail": _PROBLEMS[status],
    }  # fmt: skip
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        example |= {
            "detail": "limit: Expected `int` <= 1000",
            "errors": [{"field": "limit", "message": "Expected `int` <= 1000"}],
        }
    shown: dict[str, Any] = {
        "description": _PROBLEMS[status],
        "content": {
            "application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}, "example": example}
        },
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        shown["headers"] = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return shown


def routes(handlers: list[Any], version: str) -> list[Any]:
    described = cache(lambda: document(handlers, version))
    encoded = cache(lambda: msgspec.json.encode(described()))

    @get(["/schema", "/schema/openapi.json"])
    async def schema() -> Response[bytes]:
        return json(encoded())

    return [schema, *api_page.routes(described, version)]
