"""Which run is meant: a whole id, six or more characters of its beginning or its end, or `@last`."""

import re

from perfect_sdk.cli.exits import FAILED, USAGE, Exit
from perfect_sdk.cli.gateway import Gateway
from perfect_sdk.cli.output import show_time
from perfect_sdk.cli.parameters import RUN_HELP

LAST = "@last"
SHORTEST = 6
SHOWN = 8
PAGE = 1000
_WHOLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PART = re.compile(rf"[0-9a-f-]{{{SHORTEST},35}}")


def find(gateway: Gateway, text: str) -> str:
    """The run's whole id. Raises Exit when there is no such run, or more than one."""
    wanted = text.strip().lower()
    if _WHOLE.fullmatch(wanted):
        return wanted
    if wanted == LAST:
        newest = gateway.get("/api/engine/runs", limit=1)
        if not newest:
            raise Exit(FAILED, "there is no run yet: `perfect trigger FLOW` starts one")
        return newest[0]["id"]
    if not _PART.fullmatch(wanted):
        raise Exit(
            FAILED, f"there is no run {text!r}: name it by its {RUN_HELP}; `perfect runs ls` shows the ids"
        )
    found = [
        run
        for run in gateway.get("/api/engine/runs", text=wanted, limit=PAGE)
        if run["id"].startswith(wanted) or run["id"].endswith(wanted)
    ]
    if not found:
        raise Exit(
            FAILED, f"there is no run whose id begins or ends with {text!r}: `perfect runs ls` shows the ids"
        )
    if len(found) > 1:
        lines = [
            f"  {run['id']}  {run['flow_name']}  {run['state']}  {show_time(run['start_time'])}"
            for run in found[:SHOWN]
        ]
        more = [f"  … and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        raise Exit(
            USAGE,
            "\n".join([f"{text!r} can be any of {len(found)} runs; say more of the id:", *lines, *more]),
        )
    return found[0]["id"]
