"""What tests of the engine ask of it, and its end."""

from typing import Any

import msgspec

from perfect_bus import Bus
from perfect_runtime.service import Service
from perfect_schemas import subjects
from perfect_schemas.commands import CancelRun
from perfect_schemas.queries import RunDetail


async def waiting(bus: Bus, run_id: str) -> Any:
    """The sentence that says what the run waits for."""
    return msgspec.json.decode((await bus.ask(subjects.query("waiting"), RunDetail(run_id=run_id))).value)


async def cancel(bus: Bus, run_id: str) -> None:
    await bus.ask(subjects.command("engine", "cancel"), CancelRun(run_id=run_id, by="ann"))


async def end(service: Service) -> None:
    """As if its process had been killed: no good-bye, nothing flushed."""
    await service.context.cancel_spawned()
    await service.stop()
    await service.bus.nc.close()
