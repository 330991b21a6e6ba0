"""The command line as somebody uses it: in a terminal and in a pipe, on a system with a worker."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from commands import finish, perfect, start, until_says
from running import FLOWS, Running, running
from terminal import Terminal, shown

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_sdk.cli.exits import FAILED, INTERRUPTED, OK, USAGE


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "gated.py")
        yield system


@pytest.fixture
def at(system: Running) -> tuple[str, str]:
    return ("--url", system.system.url)


async def open_gate(folder: Path, n: int) -> None:
    await asyncio.to_thread((folder / f"gate-{n}").write_text, "go on")


def gates(folder: Path, count: int) -> Path:
    for n in range(count):
        os.mkfifo(folder / f"gate-{n}")
    return folder


@pytest.mark.timeout(90)
async def test_a_run_is_triggered_found_and_read(
    system: Running, at: tuple[str, str], tmp_path: Path
) -> None:
    async def said(*arguments: str, code: int = OK) -> str:
        ended = await perfect(*arguments, *at, cwd=tmp_path)
        assert ended.code == code, ended.output
        return ended.output

    async def found(*arguments: str) -> list[str]:
        return (await said("runs", "ls", "--quiet", *arguments)).split()

    first = (await said("trigger", "Greeting", "-p", "name=Ada", "--tag", "a", "-q")).strip()
    watched = await said(
        "trigger", "Greeting", "-p", "name=Bo", "-p", "times=2", "--config", "debug", "--watch"
    )
    assert "COMPLETED in" in watched
    assert 'result: "Hello Bo Hello Bo"' in watched
    assert "  Hello Bo Hello Bo\n" in watched  # although the run may have ended before anybody looked
    [second] = await found("--limit", "1")
    assert await said("runs", "watch", first, "-q") == ""
    failing = await said("trigger", "Division", "-w", code=FAILED)
    assert "FAILED in" in failing
    assert "ZeroDivisionError" in failing
    [third] = await found("--state", "failed")

    assert await found() == [third, second, first]
    assert await found("--flow", "Greeting", "--configuration", "debug") == [second]
    assert await found("--tag", "a", "--since", "1h") == [first]
    assert await found("--until", "1h") == []
    assert await found("--text", "divis") == [third]
    page = await said("runs", "ls", "-q", "--limit", "2")
    assert page.split() == [third, second]
    page = await said("runs", "ls", "--limit", "2")
    cursor = page.rpartition("--cursor ")[2].strip()
    assert await found("--cursor", cursor) == [first]
    assert "did you mean 'Greeting'?" in await said("runs", "ls", "--flow", "Greting", code=FAILED)
    assert "did you mean 'Division'?" in await said("trigger", "division ", code=FAILED)
    assert "divisr" in await said("trigger", "Division", "-p", "divisr=2", code=USAGE)

    run = json.loads(await said("runs", "show", first[-8:], "--json"))
    assert (run["id"], run["state"], run["tasks"]) == (first, "COMPLETED", [])
    assert await said("runs", "show", "@last", "--quiet") == "FAILED\n"
    assert "divide-0" in await said("runs", "show", "@last")
    assert await said("runs", "logs", first[-12:], "-q") == "Hello Ada\n"
    lines = (await said("runs", "logs", "@last", "--level", "warning", "--json")).splitlines()
    assert json.loads(lines[0])["message"] == "dividing by 0.0"
    assert {json.loads(line)["level"] for line in lines} <= {"WARNING", "ERROR", "CRITICAL"}
    kinds = (await said("events", first, "--type", "run.", "-q")).split()
    assert kinds == ["run.scheduled", "run.queued", "run.started", "run.completed"]
    last = [json.loads(line) for line in (await said("events", "--json", "--limit", "1000")).splitlines()]
    assert [event["run_id"] for event in last if event["type"] == "run.scheduled"] == [first, second, third]
    assert {row["flow_name"] for row in json.loads(await said("stats", "--json"))["flows"]} == {"Greeting"}
    assert "Greeting" in await said("stats", "Greeting", "--by", "configuration")
    assert (await said("flows", "ls", "-q")).splitlines() == ["Division", "Gated steps", "Greeting"]
    assert first in await said("flows", "show", "Greeting")

    async def completed(*words: str) -> list[str]:
        return (await perfect("__complete", "--", *words, cwd=tmp_path)).output.splitlines()

    assert await completed("runs", "show", *at, first[-8:]) == [f"{first[-8:]}\tGreeting COMPLETED"]
    assert await completed("trigger", *at, "Greeting", "-p", "t") == ["times=\tinteger"]
    [flow] = await completed("trigger", *at, "Gat")
    assert flow.startswith("Gated steps\tSeveral steps")


@pytest.mark.timeout(90)
async def test_watching_in_a_terminal(system: Running, at: tuple[str, str], tmp_path: Path) -> None:
    folder = gates(tmp_path, 2)
    run_id = await system.trigger("Gated steps", folder=str(folder), count=2)
    terminal = Terminal(80)
    await terminal.start("runs", "watch", "@last", *at, cwd=tmp_path)
    await terminal.until("step-0")
    await terminal.until("RUNNING")

    given_up = Terminal(80)
    await given_up.start("runs", "watch", run_id[-12:], *at, cwd=tmp_path)
    await given_up.until("step-0")
    assert given_up.process is not None
    given_up.process.send_signal(signal.SIGINT)
    assert await given_up.ended() == INTERRUPTED
    assert f"the run goes on. To end it: perfect runs cancel {run_id}" in given_up.said

    following = await start("runs", "logs", run_id, "--follow", *at, cwd=tmp_path)
    events = await start("events", run_id, "--follow", "--json", *at, cwd=tmp_path)
    await open_gate(folder, 0)
    await until_says(following, "step 0: go on")
    await terminal.until("step 0: go on")
    await terminal.until(" 1 of ")
    await open_gate(folder, 1)
    assert await terminal.ended() == OK
    assert "COMPLETED in" in terminal.said
    assert 'result: "the total is 1"' in terminal.said
    assert "✓  last-0" in terminal.said
    ended = await finish(following, 20)
    assert (ended.code, ended.output.count("step 1: go on")) == (OK, 1)
    told = await finish(events, 20)
    assert [json.loads(line)["type"] for line in told.output.splitlines()][-1] == "run.completed"


async def test_tables_fit_the_terminal(system: Running, at: tuple[str, str], tmp_path: Path) -> None:
    run_id = await system.trigger("Greeting", name="Ada")
    await system.until_final(run_id)
    ended = await perfect("runs", "watch", run_id, "-q", *at, cwd=tmp_path)  # the read model has it, too
    assert ended.code == OK
    narrow = await shown(70, "runs", "ls", *at, cwd=tmp_path)
    wide = await shown(160, "runs", "ls", *at, cwd=tmp_path)
    assert all(len(line) <= 70 for line in narrow.splitlines())
    assert run_id not in narrow
    assert run_id.rpartition("-")[2] in narrow
    assert "COMPLETED" in narrow
    assert run_id in wide
    flows = await shown(60, "flows", "ls", *at, cwd=tmp_path)
    assert all(len(line) <= 60 for line in flows.splitlines())
    assert "Gated steps" in flows
    piped = (await perfect("flows", "ls", *at, cwd=tmp_path, COLUMNS="60")).output
    assert "Several steps, one after the other, each of which waits for a sign." in piped
    assert "\x1b" not in piped
