"""Everything that goes wrong as RFC 9457 problem details, or as a page where a person's browser asked for one."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from perfect_schemas.errors import FieldError, InvalidInput, PerfectError, Problem

PROBLEM_JSON = "application/problem+json"
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$?\.?(?P<path>.*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
_UNKNOWN = re.compile(r"contains unknown field `(?P<name>[^`]+)`")
_EXPECTED = {
    HTTPStatus.NOT_FOUND: "there is nothing at {path}; the routes are listed at /schema",
    HTTPStatus.METHOD_NOT_ALLOWED: "{method} is not possible at {path}; the routes are listed at /schema",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is larger than this server takes; pass large values by reference",
}

log = structlog.get_logger("perfect_gateway")

ErrorPage = Callable[[int, str, str], str]


def problem_of(error: Exception, *, method: str, path: str) -> Problem:
    """Pure. What is not a PerfectError or an HTTP error is a 500 that says nothing of the inside."""
    if isinstance(error, PerfectError):
        return error.problem()
    if isinstance(error, ValidationException):
        fields = [_field(entry) for entry in error.extra or [] if isinstance(entry, dict)]
        return InvalidInput(
            "; ".join(f"{field.field}: {field.message}" for field in fields) or error.detail, fields
        ).problem()
    if isinstance(error, HTTPException):
        status = HTTPStatus(error.status_code)
        detail = _EXPECTED.get(status, error.detail or status.phrase).format(method=method, path=path)
        return Problem(status=status, title=status.phrase, detail=detail)
    return Problem(
        status=500,
        title="Internal error",
        detail=f"{type(error).__name__} while answering; the gateway's log has the whole error",
    )


def _field(entry: dict[str, Any]) -> FieldError:
    return FieldError(field=str(entry.get("key", "")), message=str(entry.get("message", "is wrong")))


def invalid(error: msgspec.ValidationError) -> InvalidInput:
    """Msgspec's sentence about the first wrong value as an InvalidInput that names it."""
    found = _AT.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    for pattern, message in ((_MISSING, "is required"), (_UNKNOWN, "is not known")):
        named = pattern.search(what)
        if named:
            path, what = f"{path}.{named['name']}" if path else named["name"], message
    what = what.replace("`", "")
    return InvalidInput(f"{path or 'the body'}: {what}", [FieldError(field=path, message=what)])


def wants_page(request: Request[Any, Any, Any]) -> bool:
    return not request.scope["path"].startswith(("/api/", "/schema", "/metrics")) and "text/html" in (
        request.headers.get("accept", "")
    )


def said(error: Exception, *, method: str, path: str) -> tuple[Problem, dict[str, str]]:
    """The problem, logged if it is ours, and the headers of its answer."""
    problem = problem_of(error, method=method, path=path)
    if problem.status >= 500:
        log.error(
            "request failed",
            method=method,
            path=path,
            error=f"{type(error).__name__}: {error}",
            exc_info=None if isinstance(error, PerfectError) else error,
        )
    headers = dict(getattr(error, "headers", None) or {})
    if problem.status in (429, 503):
        headers["retry-after"] = "1"
    return problem, headers


def handler(error_page: ErrorPage) -> Callable[[Request[Any, Any, Any], Exception], Response[Any]]:
    """The exception handler of the app. `error_page(status, title, detail)` renders the HTML one."""

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        problem, headers = said(error, method=request.method, path=request.scope["path"])
        if wants_page(request):
            try:
                page = error_page(problem.status, problem.title, problem.detail)
                return Response(page, media_type="text/html", status_code=problem.status, headers=headers)
            except Exception as second:
                log.exception("the error page failed too", error=repr(second))
        return Response(
            msgspec.json.encode(problem), media_type=PROBLEM_JSON, status_code=problem.status, headers=headers
        )

    return handle
