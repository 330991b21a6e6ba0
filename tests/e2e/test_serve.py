"""`flow.serve()` as a script: deployments with their parameters, tags and schedules, in a real system."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from eventually import eventually
from running import Running, running

from perfect_bus.presence import present
from perfect_bus.settings import Settings
from perfect_schemas import subjects
from perfect_schemas.commands import FlowVersion, RemoveDeployment, ScheduleView, ShowSchedules, ShowVersions
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.queries import RunDetail

SCRIPT = """
import time
from pathlib import Path

from perfect_sdk import flow, serve, task

@task
def double(n: int) -> int:
    return 2 * n

@flow
def etl(n: int = 1, day: str = "today") -> list:
    return [double(n), day]

@flow
def report(title: str) -> str:
    return title.upper()

@flow
def patient(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.01)

if __name__ == "__main__":
    SERVE
"""


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings) as run:
        yield run


class Served:
    """A script that serves, as `python file.py` starts it."""

    def __init__(self, system: Running, folder: Path, call: str) -> None:
        self.file = folder / "served.py"
        self.file.write_text(SCRIPT.replace("SERVE", call))
        self.log = folder / "served.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, self.file.name],
                cwd=folder,
                env={**os.environ, **system.system.settings.environment()},
                stdout=out,
                stderr=out,
            )

    async def until_says(self, text: str) -> None:
        await eventually(lambda: text in self.log.read_text() or self.process.poll() is not None)
        assert text in self.log.read_text(), self.log.read_text()

    async def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 20)


@pytest.fixture
def serving(system: Running, tmp_path: Path) -> Any:
    started: list[Served] = []

    def start(call: str) -> Served:
        started.append(Served(system, tmp_path, call))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


async def ask(system: Running, verb: str, command: Any, kind: Any = None) -> Any:
    reply = await system.bus.ask(subjects.command("registry", verb), command)
    return msgspec.json.decode(bytes(reply.value), type=kind) if kind is not None else None


async def schedules(system: Running) -> list[ScheduleView]:
    return await ask(system, "schedules", ShowSchedules(flow="etl"), list[ScheduleView])


async def test_a_deployment_gives_its_runs_parameters_and_tags(system: Running, serving: Any) -> None:
    served = serving('etl.serve(name="nightly", parameters={"n": 21}, tags=["prod"], limit=2)')
    await served.until_says("(2 slots)")
    await served.until_says("etl/nightly is served")
    run_id = await system.trigger("etl/nightly", day="monday")
    life = (await system.until_final(run_id)).run
    assert life is not None
    assert (life.state.value, life.deployment) == ("COMPLETED", "nightly")
    assert msgspec.json.decode(life.result.value) == [42, "monday"]
    assert life.parameters == {"n": 21, "day": "monday"}
    assert life.tags == ["prod"]
    with pytest.raises(NotFound, match="no deployment 'daily'; it has: nightly"):
        await system.trigger("etl/daily")
    with pytest.raises(InvalidInput, match=r"parameters\.n"):
        await system.trigger("etl/nightly", n="many")
    assert await served.end() == 0


async def test_http_and_pages_know_deployments_and_versions(system: Running, serving: Any) -> None:
    served = serving('etl.serve(name="nightly", parameters={"n": 21}, tags=["prod"])')
    await served.until_says("etl/nightly is served")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.system.settings.port}") as http:
        answer = await http.post("/api/engine/trigger/etl/nightly", json={"tags": ["me"]})
        assert answer.status_code == 202, answer.text
        run = answer.json()
        assert (run["deployment"], run["parameters"], run["tags"]) == ("nightly", {"n": 21}, ["prod", "me"])
        by_field = await http.post("/api/engine/trigger/etl", json={"deployment": "nightly"})
        assert by_field.json()["parameters"] == {"n": 21}
        wrong = await http.post("/api/engine/trigger/etl/daily")
        assert wrong.status_code == 404
        assert "it has: nightly" in wrong.json()["detail"]
        await system.until_final(run["id"])
        shown = (await http.get(f"/api/engine/runs/{run['id']}")).json()
        assert shown["deployment"] == "nightly"
        [deployment] = (await http.get("/api/engine/flows/etl/deployments")).json()
        assert (deployment["name"], deployment["version"]) == ("nightly", None)
        assert (await http.get("/api/engine/flows/etl")).json()["deployments"] == [deployment]
        [version] = (await http.get("/api/engine/flows/etl/versions")).json()
        assert version["is_current"]

        async def is_measured() -> bool:
            path = f"/api/engine/flows/etl/versions/diff?a={version['version'][:6]}&b=current"
            found = (await http.get(path)).json()
            return found["run"]["b"] is not None and found["run"]["delta_ms"] == 0

        await eventually(is_measured)
        page = await http.get("/flows/etl")
        assert page.status_code == 200
        assert "perfect trigger &#39;etl/nightly&#39;" in page.text
        assert version["version"] in page.text
        gone = await http.delete("/api/engine/flows/etl/deployments/nightly")
        assert gone.status_code == 204
        assert (await http.post("/api/engine/trigger/etl/nightly")).status_code == 404
    assert await served.end() == 0


async def test_schedules_pause_with_the_process_and_go_on_with_it(system: Running, serving: Any) -> None:
    call = 'etl.serve(name="My Nightly", cron=["0 0 1 1 *", "0 0 2 1 *"])'
    first = serving(call)
    await first.until_says("runs by itself")
    assert [(one.name, one.paused) for one in await schedules(system)] == [
        ("my-nightly-1", False),
        ("my-nightly-2", False),
    ]
    assert await first.end(signal.SIGTERM) == 0
    assert "schedules paused until they are served again: 2" in first.log.read_text()
    assert [one.paused for one in await schedules(system)] == [True, True]
    first.log.unlink()
    second = serving(call)
    await second.until_says("runs by itself")
    assert [one.paused for one in await schedules(system)] == [False, False]
    await ask(system, "undeploy", RemoveDeployment(flow="etl", name="My Nightly"))
    assert await schedules(system) == []
    assert await second.end() == 0


async def test_schedules_go_on_until_the_last_one_leaves(system: Running, serving: Any) -> None:
    call = 'etl.serve(name="nightly", cron="0 0 1 1 *")'
    first = serving(call)
    await first.until_says("runs by itself")
    second = serving(call)

    async def are_there() -> int:
        return sum("etl/nightly" in one.deployments for one in await present(system.bus)) == 2

    await eventually(are_there)
    assert await first.end() == 0
    assert "the schedules of etl/nightly go on" in first.log.read_text()
    assert [one.paused for one in await schedules(system)] == [False]
    assert await second.end() == 0
    assert [one.paused for one in await schedules(system)] == [True]
    both = [serving(call), serving(call)]
    await eventually(are_there)
    assert [one.paused for one in await schedules(system)] == [False]
    assert await asyncio.gather(*(one.end() for one in both)) == [0, 0]
    assert [one.paused for one in await schedules(system)] == [True]


def perfect(system: Running, *words: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("perfect"), "deployments", *words],
        env={**os.environ, **system.system.settings.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


async def test_deployments_on_the_command_line(system: Running, serving: Any) -> None:
    served = serving(
        'serve(etl.to_deployment("My Nightly", cron="0 0 1 1 *", parameters={"n": 2}), report.to_deployment("weekly"))'
    )
    for name in ("etl/My Nightly", "report/weekly"):
        await served.until_says(f"{name} is served")

    async def said(*words: str) -> str:
        return await asyncio.to_thread(perfect, system, *words)

    async def are_known() -> bool:
        found = await said("ls", "--json")
        return found.startswith("[") and [len(one["served_by"]) for one in json.loads(found)] == [1, 1]

    await eventually(are_known)
    assert (await said("ls", "-q")).splitlines() == ["etl/My Nightly", "report/weekly"]
    listed = (await said("ls", "--flow", "etl")).splitlines()
    assert listed[0].split() == ["DEPLOYMENT", "STATE", "WHEN", "NEXT", "SERVED", "BY"]
    assert listed[1].startswith("etl/My Nightly  active")
    assert len(listed) == 2
    assert "-p n  2" in await said("show", "etl/My Nightly")
    assert "etl/My Nightly is paused" in await said("pause", "etl/My Nightly")
    assert [one.paused for one in await schedules(system)] == [True]
    assert '"state": "paused"' in await said("show", "etl/My Nightly", "--json")
    assert "runs by itself again, next at" in await said("resume", "etl/My Nightly")
    assert [one.paused for one in await schedules(system)] == [False]
    assert "has no schedules" in await said("pause", "report/weekly")
    assert "did you mean 'report/weekly'?" in await said("show", "report/weakly")
    assert await served.end() == 0
    assert "served by  nobody now" in await said("show", "report/weekly")
    assert "report/weekly is removed" in await said("rm", "report/weekly")

    async def is_gone() -> bool:
        return "there is no deployment 'report/weekly'" in await said("show", "report/weekly")

    await eventually(is_gone)


async def test_a_schedule_starts_runs_of_its_deployment(system: Running, serving: Any) -> None:
    served = serving(
        'etl.serve(name="often", interval=1, parameters={"day": "any"}, pause_on_shutdown=False)'
    )
    await served.until_says("every second")

    async def ran() -> bool:
        return any(one.last_run_id for one in await schedules(system))

    await eventually(ran)
    [one] = await schedules(system)
    life = (await system.until_final(one.last_run_id or "")).run
    assert life is not None
    assert (life.deployment, life.origin, life.parameters) == ("often", "schedule", {"day": "any"})
    assert await served.end() == 0
    assert [one.paused for one in await schedules(system)] == [False]


async def test_a_deployment_runs_at_most_as_often_at_once_as_it_may(
    system: Running, serving: Any, tmp_path: Path
) -> None:
    served = serving('patient.serve(name="one", global_limit=1, parameters={"path": "go"})')
    await served.until_says("patient/one is served")
    first, second, other = [
        await system.trigger(name, **given)
        for name, given in (("patient/one", {}), ("patient/one", {}), ("patient", {"path": "go"}))
    ]
    for run_id in (first, other):
        await system.until(run_id, lambda history: history.run is not None and history.run.state == "RUNNING")
    reply = await system.bus.ask(subjects.query("waiting"), RunDetail(run_id=second))
    assert msgspec.json.decode(bytes(reply.value)) == "the limit of deployment 'patient/one' is reached"
    (tmp_path / "go").touch()
    histories = [await system.until_final(run_id) for run_id in (first, second, other)]
    assert all(history.run is not None and history.run.state == "COMPLETED" for history in histories)
    ended, began = histories[0].run.end_time, histories[1].run.start_time
    assert ended is not None
    assert began is not None
    assert ended <= began
    assert await served.end() == 0


async def test_several_flows_at_once(system: Running, serving: Any) -> None:
    served = serving(
        'serve(etl.to_deployment("a", parameters={"n": 1}), etl.to_deployment("b", parameters={"n": 2}), '
        'report.to_deployment("weekly", parameters={"title": "x"}))'
    )
    for name in ("etl/a", "etl/b", "report/weekly"):
        await served.until_says(f"{name} is served")
    ids = [await system.trigger(name) for name in ("etl/a", "etl/b", "report/weekly")]
    lives = [(await system.until_final(run_id)).run for run_id in ids]
    assert [msgspec.json.decode(life.result.value) for life in lives] == [[2, "today"], [4, "today"], "X"]
    assert await served.end() == 0


async def test_a_version_that_changed_is_another(system: Running, serving: Any) -> None:
    first = serving('etl.serve("d")')
    await first.until_says("etl/d is served")
    assert await first.end() == 0
    first.log.unlink()
    global SCRIPT
    before, SCRIPT = SCRIPT, SCRIPT.replace("n: int = 1", "n: int = 7")
    try:
        second = serving('etl.serve("d")')
    finally:
        SCRIPT = before
    await second.until_says("etl/d is served")
    newest, oldest = await ask(system, "versions", ShowVersions(flow="etl"), list[FlowVersion])
    assert (newest.is_current, oldest.is_current) == (True, False)
    assert newest.changed == ["parameters"]
    assert newest.parameters[0] == "n: integer = 7"
    assert newest.client_name
    assert newest.client_name != oldest.client_name
    assert await second.end() == 0


def test_without_a_system_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "served.py"
    file.write_text(SCRIPT.replace("SERVE", 'etl.serve(name="nightly")'))
    done = subprocess.run(
        [sys.executable, file], cwd=tmp_path, env={**os.environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "perfect: no running Perfect system found to serve etl/nightly in: `perfect up` starts one"
    )
