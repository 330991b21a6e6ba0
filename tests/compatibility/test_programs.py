"""Programs as users of Prefect 3 write them do the same here once their imports say `perfect_sdk`.

One feature each; what they assert is what Prefect's documentation says, and each of them passes under Prefect 3.8, too.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import migrated
import pytest
import pytest_asyncio
from running import running

from perfect_bus.settings import Settings
from perfect_runtime.verify import verify
from perfect_schemas import subjects
from perfect_schemas.commands import SetLimit

PROGRAMS = migrated.names()
TIMEOUT_S = 50


def options(name: str) -> dict[str, Any]:
    return migrated.options(name)


def test_there_are_many() -> None:
    assert len(PROGRAMS) >= 40


def _run(file: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", file.name],
        cwd=file.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _heard(name: str, said: str) -> None:
    for text in options(name).get("SAYS", ()):
        assert text in said, said


@pytest.mark.parametrize("name", [name for name in PROGRAMS if "NEEDS" not in options(name)])
def test_with_nothing_running(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFECT_OFFLINE", "1")
    file = migrated.migrate(name, tmp_path)
    if options(name).get("AS_SCRIPT"):
        done = _run(file, dict(os.environ))
        assert done.returncode == 0, done.stderr
        return
    migrated.load(file).check()
    said = capfd.readouterr()
    _heard(name, said.out + said.err)


class Ran:
    """What became of every program, by name: its failure or None, and what it said."""

    def __init__(self, differences: list[str]) -> None:
        self.failures: dict[str, str | None] = {}
        self.said: dict[str, str] = {}
        self.differences = differences


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ran(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ran]:
    """One system for all, one process for all but the scripts."""
    folder = tmp_path_factory.mktemp("programs")
    settings = Settings(
        data_dir=folder / "data", lease_s=3.0, presence_every_s=0.5, cancel_grace_s=2.0, purge_after_s=0
    )
    for name in PROGRAMS:
        migrated.migrate(name, folder)
    async with running(settings) as system:
        for name in PROGRAMS:
            said = options(name)
            limits = {limit: (slots, 0.0) for limit, slots in said.get("LIMITS", {}).items()}
            for limit, (slots, decay) in (limits | said.get("RATES", {})).items():
                command = SetLimit(name=limit, slots=slots, slot_decay_per_second=decay, by="test")
                await system.bus.ask(subjects.command("engine", "set_limit"), command)
        environment = {**os.environ, **system.system.settings.environment()}
        ran = Ran([])
        scripts = [name for name in PROGRAMS if options(name).get("AS_SCRIPT")]
        together = [name for name in PROGRAMS if name not in scripts]
        await asyncio.gather(
            _together(ran, folder, together, environment), _one_by_one(ran, folder, scripts, environment)
        )
        ran.differences = (await verify(system.bus)).differences
        yield ran


async def _together(ran: Ran, folder: Path, names: list[str], environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", migrated.__file__, str(folder), *names,
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    for line in out.splitlines():
        one = json.loads(line)
        ran.failures[one["name"]], ran.said[one["name"]] = one["failure"], one["said"]
    for name in names:
        ran.failures.setdefault(name, f"it was not come to: {errors.decode()}")


async def _one_by_one(ran: Ran, folder: Path, names: list[str], environment: dict[str, str]) -> None:
    for name in names:
        done = await asyncio.to_thread(_run, folder / f"{name}.py", environment)
        ran.failures[name] = done.stdout + done.stderr if done.returncode else None


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", PROGRAMS)
async def test_with_a_system(name: str, ran: Ran) -> None:
    if ran.failures[name] is not None and "pydantic" in options(name).get("NEEDS", ""):
        pytest.skip("pydantic is not installed")
    assert ran.failures[name] is None, ran.failures[name]
    _heard(name, ran.said.get(name, ""))


@pytest.mark.asyncio(loop_scope="module")
async def test_what_they_did_is_recorded_as_it_was(ran: Ran) -> None:
    assert ran.differences == []
