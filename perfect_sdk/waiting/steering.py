"""Pausing another run, from within a run or outside of any."""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from perfect_schemas import subjects
from perfect_schemas.commands import PauseRun
from perfect_schemas.errors import ServiceUnavailable
from perfect_sdk.connecting.system import System
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.running.effects import Future

if TYPE_CHECKING:
    from perfect_sdk.context import Frame

BY = "perfect_sdk"


def refuse_own_wishes(**options: Any) -> None:
    """Raises NotSupported for what only the run itself can ask for when it pauses."""
    for option, value in options.items():
        if value is not None:
            raise NotSupported(
                f"suspend_flow_run({option}=…) of another run is not supported: only the run itself can say what it "
                "waits for (pause_flow_run in its flow)"
            )


def pause_other(frame: "Frame | None", run_id: str) -> None:
    """The run stops at its next call and waits until it is resumed. Raises NotFound, Conflicting unless it is RUNNING."""
    if frame is not None and frame.session.journal.is_recorded:
        frame.check()
        Future(frame.session, _ask(frame.session.journal, run_id)).run()
        return
    try:
        system = System.of_process()
    except ServiceUnavailable:
        _by_http(run_id)
        return
    _ask(system, run_id).result()


async def apause_other(frame: "Frame | None", run_id: str) -> None:
    """`pause_other` for async code."""
    if frame is None or not frame.session.journal.is_recorded:
        await asyncio.to_thread(pause_other, None, run_id)
        return
    frame.check()
    await Future(frame.session, _ask(frame.session.journal, run_id)).run_async()


def _ask(system: Any, run_id: str) -> Any:
    return system.ask(subjects.command("engine", "pause"), PauseRun(run_id=run_id, by=BY))


def _by_http(run_id: str) -> None:
    """Where NATS cannot be reached from."""
    from perfect_bus.settings import Settings
    from perfect_sdk.http.transport import HttpTransport

    settings = Settings.load()
    transport = HttpTransport(f"http://{settings.host}:{settings.port}")
    transport.post(f"/api/engine/runs/{quote(run_id, safe='')}/pause", {})
