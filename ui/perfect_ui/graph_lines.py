"""The lines between the boxes of a run's graph: how each one goes. Pure. Coordinates in pixels."""

from dataclasses import dataclass
from typing import Literal

from perfect_ui.formats import number

BOX_WIDTH = 168
BOX_HEIGHT = 38
BELOW = 30  # how far a line that goes back reaches below its boxes
_BETWEEN = 35  # at three quarters of it the line runs in the gap below a row of boxes

Kind = Literal["input", "calls", "then"]
Place = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """kind: "input": what stands at its end got something from there; "calls": from a body to what it called; "then":
    nothing but the order. count: of how many task runs, shown at (x, y) where it says more than the line.
    """

    path: str
    kind: Kind
    count: str = ""
    x: int = 0
    y: int = 0


def line(kind: Kind, a: Place, b: Place, many: int = 1) -> Line:
    """From the box at `a` to the one at `b`, which may be the same, or further left. many: task runs that it stands for."""
    count = f"×{number(many)}" if many > 1 else ""
    if a == b:
        x, y = a[0] + BOX_WIDTH - 44, a[1]
        return Line(path=f"M{x + 24} {y}C{x + 24} {y - 14} {x} {y - 14} {x} {y}", kind=kind)
    if b[0] <= a[0]:
        x, y = a[0] + BOX_WIDTH // 2, a[1] + BOX_HEIGHT
        to_x, to_y = b[0] + BOX_WIDTH // 2, b[1] + BOX_HEIGHT
        low = max(y, to_y) + BELOW
        return Line(path=f"M{x} {y}C{x} {low} {to_x} {low} {to_x} {to_y}", kind=kind)
    x, y = a[0] + BOX_WIDTH, a[1] + BOX_HEIGHT // 2
    to_x, to_y = b[0], b[1] + BOX_HEIGHT // 2
    half = max((to_x - x) // 2, 20)
    low = _BETWEEN if to_x - x > BOX_WIDTH else 0  # past the boxes of the columns between
    path = f"M{x} {y}C{x + half} {y + low} {to_x - half} {to_y + low} {to_x} {to_y}"
    return Line(path=path, kind=kind, count=count, x=(x + to_x) // 2, y=(y + to_y + low * 3 // 2) // 2 - 5)
