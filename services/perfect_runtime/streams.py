"""The streams as these settings want them."""

from perfect_bus import Bus
from perfect_bus.settings import Settings


async def ensure_streams(bus: Bus, settings: Settings) -> None:
    """Create what is missing; every process may do so at the same time."""
    await bus.ensure_streams(
        replicas=settings.replicas,
        max_bytes={"EVENTS": settings.events_max_bytes, "LOGS": settings.logs_max_bytes},
    )
