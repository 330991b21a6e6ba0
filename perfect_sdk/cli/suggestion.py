"""What somebody may have meant: the nearest name, and a sentence about it."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from perfect_sdk.cli.exits import FAILED, Exit

if TYPE_CHECKING:
    from perfect_sdk.cli.gateway import Gateway

NAMES_SHOWN = 8


def nearest(wrong: str, names: Iterable[str]) -> str | None:
    """The one of `names` that looks most like `wrong`, whatever the case; None when none does."""
    by_folded = {name.casefold(): name for name in names}
    found = difflib.get_close_matches(wrong.casefold(), by_folded, n=1, cutoff=0.55)
    if found:
        return by_folded[found[0]]
    begun = [name for folded, name in by_folded.items() if folded.startswith(wrong.casefold())]
    return begun[0] if len(begun) == 1 else None


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """The end of a sentence: `; did you mean 'etl'?`, `; there are: …`, or nothing."""
    known = list(names)
    meant = nearest(wrong, known)
    if meant is not None:
        return f"; did you mean {meant!r}?"
    if not known:
        return ""
    more = len(known) - NAMES_SHOWN
    return f"; there are: {', '.join(known[:NAMES_SHOWN])}{f' and {more} more' if more > 0 else ''}"


@contextmanager
def naming_flow(gateway: "Gateway", name: str) -> Iterator[None]:
    """Within it, a flow that does not exist ends the command with the nearest one that does."""
    from perfect_schemas.errors import NotFound

    try:
        yield
    except NotFound as error:
        if "has no deployment" in error.detail:
            raise
        raise no_flow(name, gateway.get("/api/engine/flows")) from None


def require_flow(gateway: "Gateway", name: str | None) -> None:
    """For a question about a flow that was answered with nothing. Raises Exit when there is no such flow."""
    if name is None:
        return
    flows = gateway.get("/api/engine/flows", hidden="true")
    if not any(name in (flow["id"], flow["name"]) for flow in flows):
        raise no_flow(name, flows)


def no_flow(name: str, flows: list[dict[str, Any]]) -> Exit:
    if not flows:
        return Exit(
            FAILED,
            f"there is no flow {name!r}: none is registered yet, `perfect worker FILE` serves the flows of a file",
        )
    return Exit(FAILED, f"there is no flow {name!r}{did_you_mean(name, [flow['name'] for flow in flows])}")
