"""Monitor: measure this machine, ask Perfect's own health endpoint, and say whether all is well.

An async flow: its tasks are measured at the same time. The health check is tried again a few times, because a service
that is being restarted is back within a second.
"""

import asyncio
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from perfect_sdk import flow, get_run_logger, task


@dataclass
class Level:
    """How much of something is used, in percent, and what that is."""

    name: str
    used: float
    detail: str


@dataclass
class Service:
    name: str
    status: str


@dataclass
class Verdict:
    status: Literal["healthy", "strained", "unhealthy"]
    reasons: list[str] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)


@task(weight=5, estimated_time=600)
async def cpu(seconds: float) -> Level:
    """Measured over `seconds`: a single look at the counters says nothing."""
    used = await asyncio.to_thread(psutil.cpu_percent, interval=seconds)
    load, _, _ = psutil.getloadavg()
    return Level("cpu", used, f"{psutil.cpu_count()} cores, load {load:.2f}")


@task(weight=1)
async def memory() -> Level:
    found = psutil.virtual_memory()
    return Level("memory", found.percent, f"{found.available / 2**30:.1f} GiB available")


@task(weight=1)
async def disk(path: str) -> Level:
    found = psutil.disk_usage(path)
    return Level("disk", found.percent, f"{found.free / 2**30:.1f} GiB free for {path}")


@task(weight=3, estimated_time=50, retries=4, retry_delay_seconds=[0.2, 0.5, 1, 2], timeout_seconds=10)
async def health(url: str) -> list[Service]:
    """What GET /api/health answers, also while it is not ready (503). Raises when nothing answers."""
    answer = await asyncio.to_thread(fetch, url)
    return [Service(one["name"], one["status"]) for one in answer["services"]]


def fetch(url: str) -> dict:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 503:
                raise
            return json.load(error)


@task(weight=1)
def judge(levels: list[Level], services: list[Service] | None, limit: float) -> Verdict:
    verdict = Verdict("healthy", levels=levels, services=services or [])
    for level in levels:
        if level.used > limit:
            verdict.status = "strained"
            verdict.reasons.append(
                f"{level.name} is at {level.used:.0f} %, above {limit:.0f} % ({level.detail})"
            )
    if services is None:
        verdict.status = "unhealthy"
        verdict.reasons.append("Perfect's health endpoint does not answer")
    for service in services or []:
        if service.status != "ready":
            verdict.status = "unhealthy"
            verdict.reasons.append(f"the {service.name} is {service.status}")
    return verdict


def system_url() -> str:
    """Where the running system is: it writes that to connection.json in its data folder."""
    file = Path(os.environ.get("PERFECT_DATA_DIR", ".perfect")) / "connection.json"
    try:
        return json.loads(file.read_text())["gateway"]
    except (OSError, KeyError, ValueError):
        return "http://127.0.0.1:3000"


@flow(name="Machine monitor", tags=["operations", "example"])
async def monitor(
    url: str | None = None, limit: float = 90.0, seconds: float = 0.5, path: str = "/"
) -> Verdict:
    """Measures this machine and asks Perfect whether it is well.

    limit: percent of CPU, memory or disk above which the machine counts as strained.
    """
    log = get_run_logger()
    *levels, services = await asyncio.gather(
        cpu(seconds), memory(), disk(path), health(url or system_url()), return_exceptions=True
    )
    for failed in (one for one in levels if isinstance(one, BaseException)):
        raise failed
    if isinstance(services, BaseException):
        log.warning("the health check failed: %s", services)
        services = None
    verdict = judge(levels, services, limit)
    log.info("%s: %s", verdict.status, "; ".join(verdict.reasons) or "nothing is wrong")
    return verdict


if __name__ == "__main__":
    print(asyncio.run(monitor()))
