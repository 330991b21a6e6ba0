"""`/api/docs`: the OpenAPI document for people, drawn here: no script, nothing from anywhere else."""

from collections.abc import Callable
from shlex import quote
from typing import Any
from urllib.parse import quote as quoted

import msgspec
from litestar import Response, get

from perfect_gateway.pages.page import html
from perfect_gateway.wire import AnyRequest

_ORDER = ("get", "post", "put", "patch", "delete")


def shown(document: dict[str, Any], base: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Pure. By tag, each operation with what its part of the page says. base: where this server is."""
    tags: dict[str, list[dict[str, Any]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method in _ORDER:
            if method in operations:
                one = operations[method]
                tags[one["tags"][0]].append(_operation(document, base, path, method, one))
    return list(tags.items())


def _operation(
    document: dict[str, Any], base: str, path: str, method: str, one: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": one["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": one["summary"],
        "description": one["description"],
        "parameters": [
            {
                "name": parameter["name"],
                "in": parameter["in"],
                "type": type_words(parameter["schema"]),
                "description": parameter["description"],
            }
            for parameter in one["parameters"]
        ],
        "curl": curl(base, path, method, one),
        "answers": [_answer(document, status, answer) for status, answer in sorted(one["responses"].items())],
    }


def _answer(document: dict[str, Any], status: str, answer: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in answer:
        named = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        return {"status": status, "description": named["description"], "kinds": [], "example": ""}
    content = answer.get("content", {})
    example = content.get("application/json", {}).get("example")
    return {
        "status": status,
        "description": answer["description"],
        "kinds": list(content),
        "example": "" if example is None else _pretty(example),
    }


def type_words(schema: dict[str, Any]) -> str:
    """A parameter's type with its limits: `integer 1–1000, default 50`."""
    if "anyOf" in schema:
        words = " or ".join(type_words(part) for part in schema["anyOf"])
    elif "enum" in schema:
        words = " | ".join(str(value) for value in schema["enum"])
    elif "const" in schema:
        words = str(schema["const"])
    elif schema.get("type") == "array":
        words = f"list of {type_words(schema['items'])}"
    else:
        words = schema.get("format") or schema.get("type", "any")
    if "minimum" in schema:
        words += f" {schema['minimum']}–{schema.get('maximum', '')}"
    default = schema.get("default")
    return words if default in (None, [], "") else f"{words}, default {str(default).lower()}"


def curl(base: str, path: str, method: str, one: dict[str, Any]) -> str:
    """A command that asks just this, with the examples of the document."""
    for parameter in one["parameters"]:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quoted(str(parameter["example"]), safe=""))
    words = ["curl"]
    if "text/event-stream" in one["responses"].get("200", {}).get("content", {}):
        words.append("-N")
    if method != "get":
        words += ["-X", method.upper()]
    words.append(quote(base + path))
    if "requestBody" in one:
        example = one["requestBody"]["content"]["application/json"]["example"]
        words += ["--json", quote(msgspec.json.encode(example).decode())]
    return " ".join(words)


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def routes(document: Callable[[], dict[str, Any]], version: str) -> list[Any]:
    @get("/api/docs")
    async def docs(request: AnyRequest) -> Response[bytes]:
        described = document()
        base = f"http://{request.headers['host']}"
        return html("pages/api.html", document=described, tags=shown(described, base), version=version)

    return [docs]
