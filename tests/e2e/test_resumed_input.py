"""Resuming a run with what it asks for, over HTTP alone: by REST, and by `resume_flow_run` where NATS is out of reach."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from running import FLOWS, Running, free_port, running
from site_client import Site

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify
from perfect_schemas.folds.history import History

SCRIPT = """
import json, sys
from perfect_sdk import resume_flow_run
from perfect_sdk.exceptions import InvalidInput

run_id, given = sys.argv[1], json.loads(sys.argv[2])
try:
    resume_flow_run(run_id, given)
except InvalidInput as error:
    print("refused", *[one.field for one in error.errors])
else:
    print("resumed")
"""


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "waiting.py", concurrency=1)
        yield system


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    async with Site.of(system.system.url) as site:
        yield site
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])


async def asks(system: Running, run_id: str, key: str) -> None:
    def holds(history: History) -> bool:
        return history.run is not None and history.run.state == "PAUSED" and history.run.wait_key == key

    await system.until(run_id, holds)


async def test_by_rest(system: Running, site: Site, tmp_path: Path) -> None:
    run_id = await system.trigger("approved", path=str(tmp_path / "trace"))
    url = f"/api/engine/runs/{run_id}/resume"
    await asks(system, run_id, "pause-0")
    for given, field in (
        ({"approved": "perhaps"}, "input.approved"),
        ({"comment": "?"}, "input.approved"),
        ({"approved": True, "more": 1}, "input.more"),
        ("yes", "input"),
    ):
        refused = await site.post(url, {"input": given}, status=422)
        assert [one["field"] for one in refused["errors"]] == [field]
        assert field in refused["detail"]
    await site.post(url, {"input": {"approved": True, "comment": "fine"}})
    await asks(system, run_id, "pause-1")
    refused = await site.post(url, {"input": "seven"}, status=422)
    assert [one["field"] for one in refused["errors"]] == ["input"]
    await site.post(url, {"input": 7})
    assert (await site.finished(run_id))["result"] == "True fine 7"
    await site.post(url, {"input": 7}, status=409)


async def test_by_the_sdk_where_nats_is_out_of_reach(system: Running, site: Site, tmp_path: Path) -> None:
    script = tmp_path / "approve.py"
    script.write_text(SCRIPT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERFECT_")}
    environment |= {
        "PERFECT_NATS_URL": f"nats://127.0.0.1:{free_port()}",
        "PERFECT_PORT": str(system.system.settings.port),
        "HOME": str(tmp_path),
    }

    async def resume(run_id: str, given: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(script), run_id, given],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run_id = await system.trigger("approved", path=str(tmp_path / "trace"))
    await asks(system, run_id, "pause-0")
    assert await resume(run_id, '{"approved": 3}') == "refused input.approved"
    assert await resume(run_id, '{"approved": false, "comment": "no"}') == "resumed"
    await asks(system, run_id, "pause-1")
    assert await resume(run_id, "1") == "resumed"
    assert (await site.finished(run_id))["result"] == "False no 1"
