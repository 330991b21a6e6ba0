"""Artifacts, variables, secrets, tags and rates of a whole system: on the worker, on the bus, in the file, over HTTP."""

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest
from running import FLOWS, Running, running

from perfect_bus.settings import Settings
from perfect_projector.duck import Duck
from perfect_projector.rebuild import rebuild
from perfect_runtime.verify import verify
from perfect_schemas import queries, subjects
from perfect_schemas.events import ArtifactSaved

PERFECT = Path(sys.executable).with_name("perfect")
PASSWORD = "open-sesame-4711"
GROUPS = (("projector",), ("registry", "engine"), ("gateway",))


class Refused(Exception):
    """The status that was answered."""


def http(settings: Settings, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{settings.port}{path}", method=method,
        data=None if body is None else json.dumps(body).encode(), headers={"content-type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            data, kind = answer.read(), answer.headers["content-type"] or ""
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error.code) from None
    return json.loads(data) if kind.startswith("application/json") else data


async def asked(settings: Settings, method: str, path: str, body: Any = None) -> Any:
    return await asyncio.to_thread(http, settings, method, path, body)


def perfect(settings: Settings, *arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        [PERFECT, *arguments, "--data-dir", str(settings.data_dir)], input=given, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


async def finished(run: Running, flow: str, **parameters: Any) -> str:
    run_id = await run.trigger(flow, **parameters)
    history = await run.until_final(run_id)
    assert history.run is not None
    assert history.run.state == "COMPLETED", history.run.error
    report = await verify(run.bus)
    assert report.ok, report.differences
    return run_id


async def test_what_runs_show(settings: Settings, tmp_path: Path) -> None:
    async with running(settings, groups=GROUPS) as run:
        settings = run.system.settings
        await run.worker(FLOWS / "shown.py")
        assert perfect(settings, "variables", "set", "size", "500") == "size: 500\n"
        run_id = await finished(run, "shows", size="large")
        shown = await asked(settings, "GET", f"/api/engine/runs/{run_id}")
        assert shown["result"] == {
            "name": "moves-0", "size": 500, "found": "**hello** <script>alert(1)</script>",
            "url": f"http://127.0.0.1:{settings.port}/runs/{run_id}",
        }  # fmt: skip
        [task] = await asked(settings, "GET", f"/api/engine/runs/{run_id}/tasks")
        assert task["tags"] == ["own", "a", "b"]

        artifacts = await asked(settings, "GET", f"/api/engine/runs/{run_id}/artifacts")
        assert [(one["type"], one["key"], one["task_key"]) for one in artifacts] == [
            ("markdown", "greeting", None), ("table", "cities", None), ("markdown", "large", None),
            ("progress", "bar", "moves-0"),
        ]  # fmt: skip
        assert (artifacts[3]["data"], artifacts[3]["description"]) == (100.0, "done")
        large = artifacts[2]
        assert large["data"] is None
        assert large["ref"].startswith(run_id)
        whole = await asked(settings, "GET", f"/api/artifacts/{large['id']}")
        assert whole["data"] == "x" * 300_000

        again = await finished(run, "shows")
        of_key = await asked(settings, "GET", "/api/artifacts?key=greeting&limit=1")
        assert [one["run_id"] for one in of_key] == [again]
        assert "hello" not in str(await asked(settings, "GET", "/api/artifacts?key=nothing"))
        page = (await asked(settings, "GET", f"/runs/{run_id}")).decode()
        assert "<strong>hello</strong> &lt;script&gt;" in page
        assert "<script>alert" not in page
        for path in (
            "/api/artifacts/x",
            f"/api/artifacts/{run_id}",
            f"/api/engine/runs/{large['id']}/artifacts",
        ):
            with pytest.raises(Refused) as caught:
                await asked(settings, "GET", path)
            assert caught.value.args[0] == 404

        query = queries.Integrity(conduct=True, sample=10)
        reply = await run.bus.ask(subjects.query("integrity"), query, timeout_s=30)
        report = msgspec.json.decode(reply.value, type=queries.IntegrityReport)
        assert [check.lines for check in report.checks if not check.ok] == []
    file = settings.data_dir / "perfect.duckdb"
    outcome = rebuild(file, tmp_path / "rebuilt.duckdb")
    assert (outcome.lines, outcome.failed) == ([], 0)
    duck = Duck(file)
    duck.connection.execute("UPDATE artifacts SET description = 'other' WHERE key = 'bar'")
    duck.close()
    assert rebuild(file, tmp_path / "again.duckdb").differences == {"artifacts": 2}


async def test_a_secret_stays_one(settings: Settings) -> None:
    async with running(settings, groups=GROUPS) as run:
        settings = run.system.settings
        worker = await run.worker(FLOWS / "shown.py")
        assert perfect(settings, "secrets", "set", "door", given=f"{PASSWORD}\n") == "door: saved\n"
        run_id = await finished(run, "opened")
        shown = await asked(settings, "GET", f"/api/engine/runs/{run_id}")
        assert shown["result"] == len(PASSWORD)
        lines = [line["message"] for line in await asked(settings, "GET", f"/api/engine/runs/{run_id}/logs")]
        assert "it is ********" in lines
        assert "printed ********" in lines
        assert "caught cannot open with ********" in lines
        [listed] = await asked(settings, "GET", "/api/secrets")
        assert listed.keys() == {"name", "saved_at", "by"}
        for path in ("/api/secrets/door", "/api/variables/door"):
            with pytest.raises(Refused) as caught:
                await asked(settings, "GET", path)
            assert caught.value.args[0] in (404, 405)
        assert PASSWORD not in worker.log.read_text()
    holding = [
        path
        for path in settings.data_dir.rglob("*")
        if path.is_file() and PASSWORD.encode() in path.read_bytes()
    ]
    assert holding == []


async def test_a_rate_is_kept(settings: Settings) -> None:
    async with running(settings, groups=GROUPS) as run:
        settings = run.system.settings
        await run.worker(FLOWS / "shown.py")
        refused = await run.until_final(await run.trigger("paced"))
        assert refused.run is not None
        assert refused.run.error is not None
        assert "there is no limit 'api'" in refused.run.error.message
        text = perfect(settings, "limits", "set", "api", "2", "--decay", "10")
        assert text == "api: 2 at once, 10 a second\n"
        run_id = await finished(run, "paced", n=6)
        shown = await asked(settings, "GET", f"/api/engine/runs/{run_id}")
        assert shown["result"] >= 0.39  # two at once, then four, a tenth of a second apart
        [limit] = await asked(settings, "GET", "/api/engine/limits")
        assert limit["slot_decay_per_second"] == 10


async def test_a_saved_artifact_is_said_once_by_each_execution(settings: Settings) -> None:
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "shown.py")
        run_id = await finished(run, "shows")
        events = [event for _, event in await run.bus.read(subjects.task(run_id))]
        saved = [event for event in events if isinstance(event, ArtifactSaved)]
        assert len({event.artifact_id for event in saved}) == 3
        assert len(saved) == 4  # the bar moved once
