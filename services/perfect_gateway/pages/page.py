"""What the pages share: rendering to a response, reading a submitted form."""

from typing import Any
from urllib.parse import parse_qs

from litestar import Response

import perfect_ui
from perfect_gateway.wire import AnyRequest
from perfect_schemas.errors import InvalidInput

HTML = "text/html"  # the encoding is added to it
MOST_FIELDS = 1000


def html(
    template: str, *, status: int = 200, headers: dict[str, str] | None = None, **context: Any
) -> Response[bytes]:
    text = perfect_ui.render(template, **context)
    return Response(
        text.encode(),
        media_type=HTML,
        status_code=status,
        headers={"cache-control": "no-store", **(headers or {})},
    )


def position(events: int | None, logs: int = 0) -> str | None:
    """The page's place on the streams; None (a page without a stream) when the read model did not say it."""
    return None if events is None else f"{events}.{logs}"


def error_page(status: int, title: str, detail: str) -> str:
    return perfect_ui.render("pages/error.html", status=status, title=title, detail=detail)


async def form(request: AnyRequest) -> dict[str, list[str]]:
    """The submitted fields. Raises InvalidInput."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidInput(
            f"this route takes a submitted form, not {kind or 'a body without a content type'}"
        )
    try:
        text = (await request.body()).decode()
        return parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidInput(f"the form cannot be read: {error}") from error


def see(request: AnyRequest, url: str) -> Response[bytes]:
    """Send the browser to `url` after a form: a redirect, or for htmx its header."""
    if request.headers.get("hx-request") == "true":
        return Response(b"", status_code=204, headers={"hx-redirect": url}, media_type=HTML)
    return Response(b"", status_code=303, headers={"location": url}, media_type=HTML)
