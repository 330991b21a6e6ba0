"""Artifacts as HTML: what users write is shown, never obeyed. Markdown without HTML, links and images by allowed schemes."""

import re
from functools import cache
from typing import Any

from markupsafe import Markup

MOST_ROWS = 500
LINKS = frozenset({"http", "https", "mailto"})
IMAGES = frozenset({"http", "https"})
_PATH = re.compile(r"[/?#]")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202f\ufeff\\]")
_DATA_IMAGE = re.compile(r"data:image/(?:png|gif|jpeg|webp|avif);base64,[A-Za-z0-9+/=]*\Z", re.ASCII)


def safe_link(url: Any) -> str | None:
    """The URL, when it is http, https, mailto or relative; None for every other, and with characters that hide one."""
    return url if isinstance(url, str) and _is_allowed(url.strip(), LINKS) else None


def safe_image(url: Any) -> str | None:
    """The URL, when it is http, https, relative, or the bytes of an image; None for every other."""
    if not isinstance(url, str):
        return None
    return url if _DATA_IMAGE.match(url) or _is_allowed(url.strip(), IMAGES) else None


def _is_allowed(url: str, schemes: frozenset[str]) -> bool:
    if not url or _UNSEEN.search(url):
        return False
    before = _PATH.split(url, maxsplit=1)[0]
    return ":" not in before or before.partition(":")[0].lower() in schemes


def markdown(text: Any) -> Markup:
    """CommonMark with tables. HTML in it is shown as text, links and images of other schemes as they are written."""
    return Markup(_renderer().render(text if isinstance(text, str) else str(text)))  # noqa: S704  it escapes by itself


@cache
def _renderer() -> Any:
    from markdown_it import MarkdownIt

    found = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    found.validateLink = lambda url: _is_allowed(url, LINKS)  # type: ignore[method-assign]
    found.add_render_rule("link_open", _link_open)
    found.add_render_rule("image", _image)
    for cell in ("th_open", "td_open"):
        found.add_render_rule(cell, _cell_open)
    return found


def _link_open(self: Any, tokens: Any, n: int, options: Any, env: Any) -> str:
    tokens[n].attrSet("rel", "noopener noreferrer nofollow")
    return self.renderToken(tokens, n, options, env)


def _image(self: Any, tokens: Any, n: int, options: Any, env: Any) -> str:
    token = tokens[n]
    token.attrSet("loading", "lazy")
    token.attrSet("referrerpolicy", "no-referrer")
    if safe_image(token.attrs.get("src")) is None:
        return Markup.escape(token.content)
    return self.image(tokens, n, options, env)


def _cell_open(self: Any, tokens: Any, n: int, options: Any, env: Any) -> str:
    """The alignment as a class: the pages' policy allows no style attribute."""
    style = tokens[n].attrs.pop("style", None)
    if style is not None:
        tokens[n].attrSet("class", f"align-{str(style).rpartition(':')[2]}")
    return self.renderToken(tokens, n, options, env)


def table(data: Any) -> dict[str, Any]:
    """{columns: names, None without any; rows: lists of cells; left_out: how many rows are not shown}."""
    columns: list[str] | None = None
    if isinstance(data, dict):
        columns = [str(name) for name in data]
        sides = [values if isinstance(values, list) else [values] for values in data.values()]
        height = max(map(len, sides), default=0)
        rows = [[side[n] if n < len(side) else None for side in sides] for n in range(min(height, MOST_ROWS))]
        return {"columns": columns, "rows": rows, "left_out": max(height - MOST_ROWS, 0)}
    found = data if isinstance(data, list) else []
    shown = found[:MOST_ROWS]
    if any(isinstance(row, dict) for row in shown):
        columns = list(dict.fromkeys(str(name) for row in shown if isinstance(row, dict) for name in row))
        shown = [
            [row.get(name) for name in columns] if isinstance(row, dict) else _cells(row) for row in shown
        ]
    else:
        shown = [_cells(row) for row in shown]
    return {"columns": columns, "rows": shown, "left_out": len(found) - len(shown)}


def _cells(row: Any) -> list[Any]:
    return row if isinstance(row, list) else [row]
