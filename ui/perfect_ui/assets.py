"""Where the built browser assets are, and under which URL each is served."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

STATIC_DIR = Path(__file__).parent / "static"
"""Mount this folder at `/static`. Names below `dist/` carry a content hash: cache them for ever."""

_MANIFEST = STATIC_DIR / "dist" / "manifest.json"


class AssetsMissing(RuntimeError):
    """The browser assets were never built. Wheels carry them; a checkout gets them from `pip install -e .`."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}: the UI's browser assets are not built. Run `pip install -e .` in the checkout "
            "(or `python ui/build_hook.py` where node is installed)."
        )


@cache
def _manifest() -> dict[str, dict[str, str] | str]:
    try:
        return json.loads(_MANIFEST.read_text())
    except FileNotFoundError:
        raise AssetsMissing(str(_MANIFEST)) from None


def asset_url(name: str) -> str:
    """`"app.js"` → `"/static/dist/app-<hash>.js"`. Raises `AssetsMissing` and, for an unknown name, `KeyError`."""
    files = _manifest()["files"]
    assert isinstance(files, dict)
    return f"/static/dist/{files[name]}"


def asset_version() -> str:
    """Changes when any asset does; `hello` carries it, so that a page notices that the server was upgraded."""
    return str(_manifest()["stamp"])[:12]
