"""What is finished leaves the bus once the file holds it for good; what fails, lives or is needed stays."""

import asyncio
import os
import signal
import sys
from datetime import datetime, timedelta

import httpx
import msgspec
import pytest
from eventually import eventually
from projected import ask
from said_runs import Runs

from perfect_bus import Bus, Guard, append
from perfect_bus.claim import read_history
from perfect_bus.purging import missing, subjects_on
from perfect_bus.settings import Settings
from perfect_gateway.service import GatewayService
from perfect_projector.service import FILE, ProjectorService
from perfect_projector.sweep import sweep
from perfect_registry.service import RegistryService
from perfect_runtime.verify import verify
from perfect_schemas import events as e
from perfect_schemas import ids, queries, subjects
from perfect_schemas.codec import encode
from perfect_schemas.envelope import ErrorInfo, StoredValue, utc_now

ERROR = ErrorInfo(kind="builtins:ValueError", message="no")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, purge_after_s=0.3)


@pytest.fixture
def runs(bus: Bus) -> Runs:
    return Runs(bus)


async def on_the_bus(bus: Bus) -> set[str]:
    return {name.rpartition(".")[2] for name in await subjects_on(bus, "EVENTS", "perfect.evt.*.*")}


async def gone(bus: Bus, *run_ids: str) -> None:
    async def are_gone() -> bool:
        return not await on_the_bus(bus) & set(run_ids)

    await eventually(are_gone, every_s=0.05)


async def completed(runs: Runs, **fields) -> str:
    run_id = await runs.start(**fields)
    await runs.task(run_id, 1)
    await runs.task(run_id, 2)
    await runs.log(run_id, "hello", "there")
    await runs.complete(run_id)
    return run_id


async def failed(runs: Runs, **fields) -> str:
    run_id = await runs.start(**fields)
    await runs.task(run_id, 1)
    await runs.say(run_id, e.RunFailed, duration_ms=3, error=ERROR)
    return run_id


async def test_finished_runs_leave_the_bus_and_are_shown_as_before(bus, runs, start_service):
    await start_service(ProjectorService)
    done, broken = await completed(runs), await failed(runs)
    running = await runs.start()
    await runs.task(running, 1)
    await gone(bus, done, broken)
    assert await on_the_bus(bus) == {running}
    assert await subjects_on(bus, "LOGS", "perfect.log.*") == set()
    shown = await ask(bus, "runs", queries.RunPage(), queries.Runs)
    assert {run.id: run.state for run in shown.runs} == {
        done: "COMPLETED",
        broken: "FAILED",
        running: "RUNNING",
    }
    tasks = await ask(bus, "task_runs", queries.TaskRunPage(run_id=done), queries.TaskRuns)
    assert [task.state for task in tasks.task_runs] == ["COMPLETED", "COMPLETED"]
    logs = await ask(bus, "logs", queries.LogPage(run_id=done), queries.Logs)
    assert [line.message for line in logs.logs] == ["hello", "there"]
    said = await ask(bus, "events", queries.EventPage(run_id=broken), queries.Events)
    types = [msgspec.json.decode(one.event)["type"] for one in said.events]
    assert types[0] == "run.scheduled"
    assert types[-2:] == ["run.failed", "run.archived"]
    report = await verify(bus)
    assert report.differences == []
    assert (report.runs, report.archived) == (3, 2)


async def test_what_was_brought_back_stays_as_long_as_what_has_just_ended(bus, runs, start_service, settings):
    """A child run is brought back before its parent is tried again: nothing else keeps it meanwhile."""
    await start_service(ProjectorService)
    broken = await failed(runs)
    history = await read_history(bus, broken)
    await gone(bus, broken)
    life = msgspec.Raw(encode(msgspec.structs.replace(history.run, archived=True)))
    restored = e.RunRestored(
        id=ids.uuid7(), at=utc_now(), source="engine", run_id=broken, epoch=1, state="FAILED", life=life
    )
    await append(bus, subjects.run(broken), restored, Guard(subjects.run(broken), 0))
    await gone(bus, broken)
    said = await ask(bus, "events", queries.EventPage(run_id=broken), queries.Events)
    fences = [
        event
        for event in (msgspec.json.decode(one.event, type=dict) for one in said.events)
        if event["type"] == "run.archived"
    ]
    assert len(fences) == 2
    stayed = datetime.fromisoformat(fences[1]["at"]) - restored.at
    assert stayed >= timedelta(seconds=settings.purge_after_s)


async def test_nothing_goes_when_the_setting_says_never(bus, runs, start_service, settings):
    service = await start_service(
        ProjectorService, settings=msgspec.structs.replace(settings, purge_after_s=0)
    )
    done = await completed(runs)
    last = (await bus.js.stream_info("EVENTS")).state.last_seq

    async def is_in_the_file() -> bool:
        return service.committed.get("EVENTS", 0) >= last

    await eventually(is_in_the_file, every_s=0.02)
    await service._purger._round()
    assert done in await on_the_bus(bus)


async def test_what_is_needed_stays_until_it_is_not(bus, runs, start_service):
    """A parent that goes on keeps its children, one that ended is kept by a child that goes on, an origin by its fork."""
    await start_service(ProjectorService)
    parent = await runs.start()
    child = await completed(runs, origin="child", parent_run_id=parent, parent_task_key="step-1")
    grandchild = await completed(runs, origin="child", parent_run_id=child, parent_task_key="step-1")
    caller = await completed(runs)
    callee = await runs.start(parent_run_id=caller)
    origin = await failed(runs)
    fork = await runs.schedule(origin="fork", fork_of=origin)
    other = await completed(runs)
    await gone(bus, other)
    assert await on_the_bus(bus) == {parent, child, grandchild, caller, callee, origin, fork}
    for run_id in (parent, callee):
        await runs.complete(run_id)
    await runs.say(fork, e.RunCancelled)
    await gone(bus, parent, child, grandchild, caller, callee, origin, fork)
    assert (await verify(bus)).differences == []


async def test_a_projector_that_starts_again_raises_no_alarm_about_what_has_left(bus, runs, start_service):
    first = await start_service(ProjectorService)
    long_lived = await runs.start()
    done = [await completed(runs) for _ in range(3)]
    await gone(bus, *done)
    await first.stop()
    assert await missing(bus, "EVENTS", after=0, through=30) > 10
    late = await completed(runs)
    second = await start_service(ProjectorService)
    assert (second.alarms, second.status) == ({}, "ready")
    await gone(bus, late)
    assert await on_the_bus(bus) == {long_lived}
    report = await verify(bus)
    assert (report.differences, report.runs, report.archived) == ([], 5, 4)


async def test_a_file_that_misses_what_has_left_raises_an_alarm(bus, runs, start_service, settings):
    first = await start_service(ProjectorService)
    await runs.start()
    done = await completed(runs)
    await gone(bus, done)
    await first.stop()
    (settings.data_dir / FILE).unlink()
    second = await start_service(ProjectorService)
    assert "are gone" in second.alarms["EVENTS"]


KILLED = """
import os, runpy, signal, sys
import perfect_projector.purger as purger

real, left = purger.purge, int(sys.argv[1])

async def purge(*args, **kwargs):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return await real(*args, **kwargs)

purger.purge = purge
sys.argv = ["perfect", "service", "projector"]
runpy.run_module("perfect_runtime", run_name="__main__", alter_sys=True)
"""


async def test_kill_9_between_the_checkpoint_and_any_purge(bus, runs, settings, nats_server, start_service):
    """Killed before the first, second, third … call: what is left goes after the next start, and nothing is lost."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    nats_server.connection.save(settings.connection_file)
    done = [await completed(runs) for _ in range(5)]
    broken = [await failed(runs) for _ in range(5)]
    for calls in (0, 1, 2, 4):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, str(calls)),
            env={**os.environ, **settings.environment()},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, written = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == -signal.SIGKILL, written.decode()
        assert await on_the_bus(bus)
    service = await start_service(ProjectorService)
    await gone(bus, *done, *broken)
    assert service.alarms == {}
    report = await verify(bus)
    assert (report.differences, report.runs, report.task_runs) == ([], 10, 15)


async def test_pages_and_readers_of_what_has_left(bus, runs, start_service, settings):
    await start_service(RegistryService)
    await start_service(ProjectorService)
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    running = await runs.start()
    done = await completed(runs)
    await gone(bus, done)
    await runs.task(running, 1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=60) as site:
        page = await site.get(f"/runs/{done}")
        assert page.status_code == 200
        assert "COMPLETED" in page.text
        assert "hello" in page.text
        tasks = await site.get(f"/api/engine/runs/{done}/tasks")
        assert [task["state"] for task in tasks.json()] == ["COMPLETED", "COMPLETED"]
        assert (await site.get(f"/api/engine/runs/{done}")).json()["state"] == "COMPLETED"

        async def read(last_event_id: str, *until: str) -> str:
            found = ""
            headers = {"Last-Event-ID": last_event_id}
            async with asyncio.timeout(60), site.stream("GET", "/api/events", headers=headers) as stream:
                async for text in stream.aiter_text():
                    found += text
                    if all(part in found for part in until):
                        break
            return found

        end = (await bus.js.stream_info("EVENTS")).state.last_seq
        logs = (await bus.js.stream_info("LOGS")).state.last_seq
        first = await read(
            "1.0", "event: resync", f"id: {end}."
        )  # the first message is there, others after it are not
        assert first.index("resync") < first.index("task.started")
        second = await read(f"{end - 1}.{logs}", f"id: {end}.")
        assert "resync" not in second


async def test_large_results_stay_as_long_as_a_run_names_them(bus, runs, start_service):
    service = await start_service(ProjectorService)
    now = utc_now()
    store = await bus.results()
    owner = await completed(runs)
    expired, orphan = ids.uuid7(), ids.uuid7()
    long_ago = now - timedelta(days=3)
    names = {
        "owned": f"{owner}/{ids.uuid7_for(long_ago, 'a')}",
        "adopted": f"{expired}/{ids.uuid7_for(long_ago, 'b')}",
        "of a child": f"{expired}/{ids.uuid7_for(long_ago, 'c')}",
        "orphan": f"{orphan}/{ids.uuid7_for(long_ago, 'd')}",
        "young": f"{orphan}/{ids.uuid7()}",
    }
    run_id = await runs.start()
    common = {"task_id": ids.uuid7(), "name": "t", "epoch": 1, "duration_ms": 1}
    ended = msgspec.Raw(msgspec.json.encode({"id": expired, "ref": names["of a child"]}))
    for key, result in (
        ("a", StoredValue(ref=names["adopted"])),
        ("b", StoredValue(value=ended)),
    ):
        await runs.say(
            run_id,
            e.TaskCompleted,
            task_run_id=ids.task_run_id(run_id, key),
            task_key=key,
            result=result,
            **common,
        )
    await runs.complete(run_id)
    await gone(bus, run_id, owner)  # the projector's own first sweep was before that
    for name in names.values():
        await store.put(name, b"x" * 1000)
    assert await sweep(bus, service._purger._query, now=now) == 1
    assert {info.name for info in await store.list(ignore_deletes=True)} == set(names.values()) - {
        names["orphan"]
    }
