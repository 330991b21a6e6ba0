"""Health of the whole system, and metrics in Prometheus' text format."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway import metrics
from perfect_gateway.parts import Parts
from perfect_gateway.wire import json
from perfect_runtime.service import SERVICES
from perfect_schemas.commands import Health


class HealthEntry(msgspec.Struct, frozen=True, kw_only=True):
    """lag: messages still to be read from the bus; lag_ms: age of the oldest of them."""

    name: str
    status: str
    lag: int
    lag_ms: int
    detail: str
    pid: int | None


class SystemHealth(msgspec.Struct, frozen=True, kw_only=True):
    """status: ready when every service is, otherwise the worst of theirs."""

    status: str
    services: list[HealthEntry]


_WORST_FIRST = ("missing", "stopping", "starting", "degraded", "ready")


def system_health(services: list[Health]) -> SystemHealth:
    """Pure."""
    worst = min(services, key=lambda health: _WORST_FIRST.index(health.status)).status
    return SystemHealth(
        status="ready" if worst == "ready" else worst,
        services=[
            HealthEntry(
                name=health.name,
                status=health.status,
                lag=health.lag,
                lag_ms=health.lag_ms,
                detail=health.detail,
                pid=health.pid,
            )
            for health in services
        ],
    )


async def ask_all(parts: Parts) -> list[Health]:
    others = [parts.asker.health(name) for name in SERVICES if name != "gateway"]
    return [*await asyncio.gather(*others), parts.own_health()]


def routes(parts: Parts) -> list[Any]:
    @get("/api/health", opt={"answers": {200: SystemHealth, 503: SystemHealth}})
    async def health() -> Response[bytes]:
        """200 when every service is ready, 503 otherwise; one entry a service."""
        found = system_health(await ask_all(parts))
        return json(
            found, status=200 if found.status == "ready" else 503, headers={"cache-control": "no-store"}
        )

    @get("/metrics", opt={"answers": {200: None}, "kinds": {"text/plain": "Prometheus' text format."}})
    async def show() -> Response[bytes]:
        """Prometheus text: responses, open streams, health and lag of the services."""
        text = metrics.text(await ask_all(parts), parts.requests(), parts.hub.clients)
        return Response(text.encode(), media_type=metrics.CONTENT_TYPE)

    return [health, show]
