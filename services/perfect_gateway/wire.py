"""Requests and answers of the REST routes: query strings and bodies to structs, values to JSON responses.

Routes name their structs in `opt`, from which `openapi.py` describes them; what is sent wrong is a 422 that names it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_origin
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response

from perfect_gateway.problems import invalid
from perfect_schemas.errors import FieldError, InvalidInput, NotFound, Rejected
from perfect_schemas.ids import is_id

T = TypeVar("T", bound=msgspec.Struct)
AnyRequest = Request[Any, Any, Any]
JSON = "application/json"

_encode = msgspec.json.Encoder().encode


def json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """`value`: anything msgspec encodes, or the encoded bytes."""
    data = value if isinstance(value, bytes) else _encode(value)
    return Response(data, media_type=JSON, status_code=status, headers=headers)


def page(
    request: AnyRequest, value: Any, following: str | None, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """A list, with the next page in a Link header: the same query with the keyset token `following`."""
    headers = dict(headers or {})
    if following is not None:
        query = [(key, text) for key, text in request.query_params.multi_items() if key != "cursor"]
        headers["link"] = (
            f'<{request.scope["path"]}?{urlencode([*query, ("cursor", following)])}>; rel="next"'
        )
    return json(value, headers=headers)


@cache
def _lists(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """Field → whether it may be given several times (or comma separated)."""
    return {field.encode_name: get_origin(field.type) is list for field in msgspec.structs.fields(kind)}


@cache
def _texts(kind: type[msgspec.Struct]) -> frozenset[str]:
    """The fields that may be text or left out."""
    return frozenset(
        field.encode_name
        for field in msgspec.structs.fields(kind)
        if {str, type(None)} <= {*get_args(field.type)}
    )


def query(
    request: AnyRequest, kind: type[T], read: Mapping[str, Callable[[str], str]] = MappingProxyType({})
) -> T:
    """The query string as a struct. read: parameter → how its text is brought into the form that the API takes.
    Raises InvalidInput naming the parameter.
    """
    known = _lists(kind)
    values: dict[str, Any] = {}
    for key, text in request.query_params.multi_items():
        if key not in known:
            message = f"is not known; there are {', '.join(known)}"
            raise InvalidInput(f"query parameter {key!r} {message}", [FieldError(key, message)])
        if known[key]:
            values.setdefault(key, []).extend(filter(None, text.split(",")))
        elif text:
            values[key] = read[key](text) if key in read else text
    nulls = {key: text for key, text in values.items() if isinstance(text, str) and text.lower() == "null"}
    for key in nulls.keys() - _texts(kind):  # msgspec takes the word for a value that is left out
        message = f"{nulls[key]!r} is no value; leave the parameter out"
        raise InvalidInput(f"{key}: {message}", [FieldError(key, message)])
    try:
        found = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    return msgspec.structs.replace(found, **nulls) if nulls else found


async def body(request: AnyRequest, kind: type[T], *, optional: bool = False) -> T:
    """The JSON body as a struct. Raises InvalidInput naming the field, Rejected for what is no JSON."""
    data = await request.body()
    if not data and optional:
        return kind()
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from error
    except msgspec.DecodeError as error:
        raise Rejected(f"the body is not JSON: {error}") from error


def run_id(request: AnyRequest) -> str:
    """Raises NotFound for what is no id: no run can have it."""
    text = str(request.path_params["run_id"])
    if not is_id(text):
        raise NotFound(f"there is no run {text!r}: a run's id is a UUID in its dashed lower-case form")
    return text


def aware(moment: datetime | None) -> datetime | None:
    """Times without a zone are UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
