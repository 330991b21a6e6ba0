"""ANSI colours of log lines as spans with classes: never a style attribute, never markup that a user wrote. What was
searched for is marked, whatever colours it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

# CSI sequences (of which SGR, ending in `m`, is the only one that we honour), OSC sequences (titles, links), the rest.
_ESCAPE = re.compile(
    r"\x1b\[(?P<sgr>[0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
_FLAG_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("strike",)}
_PALETTE = (
    (0, 0, 0), (205, 49, 49), (13, 188, 121), (229, 229, 16), (36, 114, 200), (188, 63, 188), (17, 168, 205), (229, 229, 229),
    (102, 102, 102), (241, 76, 76), (35, 209, 139), (245, 245, 67), (59, 142, 234), (214, 112, 214), (41, 184, 219), (255, 255, 255),
)  # fmt: skip


def ansi(text: str, sought: str = "") -> Markup:
    """Escape `text` and turn its SGR colours into `<span class="ansi-…">`; other control sequences are dropped. Where
    `sought` stands in it, upper and lower case alike, is in `<mark>`.

    256 and true colours become the nearest of the 16 that the style sheet knows in both themes.
    """
    if "\x1b" not in text and not sought:
        return escape(_CONTROL.sub("", text))
    pieces: list[tuple[str, str]] = []
    look = _Look()
    position = 0
    for match in _ESCAPE.finditer(text):
        pieces.append((_CONTROL.sub("", text[position : match.start()]), look.classes))
        position = match.end()
        if match["sgr"] is not None:
            look.apply(match["sgr"])
    pieces.append((_CONTROL.sub("", text[position:]), look.classes))
    html = "".join(_wrapped(*piece) for piece in _marked(pieces, sought))
    return Markup(html)  # noqa: S704  every piece is escaped in `_wrapped`


def plain(text: str) -> str:
    """`text` without colours and other control sequences, as it is read."""
    return _CONTROL.sub("", _ESCAPE.sub("", text) if "\x1b" in text else text)


def _marked(pieces: list[tuple[str, str]], sought: str) -> Iterator[tuple[str, str, bool]]:
    """The pieces, cut where what is sought begins and ends; whether each is a part of it."""
    whole = "".join(text for text, _ in pieces)
    found = re.finditer(re.escape(sought), whole, re.IGNORECASE) if sought else ()
    edges = [edge for match in found for edge in match.span()]  # inside from each even one to the next
    at = passed = 0
    for text, classes in pieces:
        end = at + len(text)
        while at < end:
            cut = min(edges[passed], end) if passed < len(edges) else end
            if cut > at:
                yield whole[at:cut], classes, passed % 2 == 1
            at = cut
            while passed < len(edges) and edges[passed] <= at:
                passed += 1


def _wrapped(text: str, classes: str, is_sought: bool) -> str:
    safe = str(escape(text))
    if is_sought:
        safe = f"<mark>{safe}</mark>"
    return f'<span class="{classes}">{safe}</span>' if classes else safe


class _Look:
    """The graphic rendition at one place of the line."""

    def __init__(self) -> None:
        self.flags: dict[str, None] = {}
        self.colours: dict[str, int] = {}

    @property
    def classes(self) -> str:
        names = [f"ansi-{flag}" for flag in self.flags]
        names += [f"ansi-{ground}-{colour}" for ground, colour in self.colours.items()]
        return " ".join(names)

    def apply(self, sequence: str) -> None:
        codes = [int(code) if code else 0 for code in re.split("[;:]", sequence)]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.flags.clear()
                self.colours.clear()
            elif code in _FLAGS:
                self.flags[_FLAGS[code]] = None
            elif code in _FLAG_OFF:
                for flag in _FLAG_OFF[code]:
                    self.flags.pop(flag, None)
            elif code in (38, 48):
                colour = _extended(codes)
                if colour is not None:
                    self.colours["fg" if code == 38 else "bg"] = colour
            elif code in (39, 49):
                self.colours.pop("fg" if code == 39 else "bg", None)
            else:
                for base, ground, first in ((30, "fg", 0), (40, "bg", 0), (90, "fg", 8), (100, "bg", 8)):
                    if base <= code < base + 8:
                        self.colours[ground] = first + code - base


def _extended(codes: list[int]) -> int | None:
    """Take the rest of `38;5;n` or `38;2;r;g;b` off `codes`; the nearest of the 16 colours."""
    kind = codes.pop(0) if codes else None
    if kind == 5 and codes:
        index = codes.pop(0)
        if index < 16:
            return index
        if index >= 232:
            grey = 8 + (min(index, 255) - 232) * 10
            return _nearest(grey, grey, grey)
        cube = index - 16
        levels = (0, 95, 135, 175, 215, 255)
        return _nearest(levels[cube // 36], levels[cube // 6 % 6], levels[cube % 6])
    if kind == 2 and len(codes) >= 3:
        red, green, blue = codes[:3]
        del codes[:3]
        return _nearest(red, green, blue)
    codes.clear()
    return None


def _nearest(red: int, green: int, blue: int) -> int:
    def distance(index: int) -> int:
        r, g, b = _PALETTE[index]
        return (r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2

    return min(range(16), key=distance)
