"""A backup of a system in the middle of its work, restored elsewhere: everything goes on, and nothing is done twice."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from running import FLOWS, Running, running

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime.backup import backup
from perfect_runtime.manifest import MANIFEST, SUMS, Manifest
from perfect_runtime.restore import restore
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify
from perfect_schemas import commands, queries, subjects
from perfect_schemas.errors import InvalidInput
from perfect_schemas.events import TaskCompleted

COUNT = 120
PERFECT = Path(sys.executable).with_name("perfect")


def perfect(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PERFECT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def completed_once(bus: Bus, run_id: str) -> set[str]:
    """The keys of the tasks that completed; each did once."""
    keys = Counter(
        event.task_key
        for _, event in await bus.read(subjects.task(run_id))
        if isinstance(event, TaskCompleted)
    )
    assert set(keys.values()) <= {1}
    return set(keys)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["saved", "saved.tar"])
async def test_a_live_system_goes_on_elsewhere(settings: Settings, tmp_path: Path, name: str) -> None:
    target, elsewhere, trace = tmp_path / name, tmp_path / "elsewhere", tmp_path / "trace"
    async with running(settings, groups=GROUPS) as run:
        await run.worker(FLOWS / "worked.py", FLOWS / "waiting.py", concurrency=4)
        ended = await run.trigger("steps", path=str(tmp_path / "ended"), count=5)
        await run.until_final(ended)
        live = await run.trigger("steps", path=str(trace), count=COUNT, seconds=0.02)
        paused = await run.trigger("approved-async", path=str(tmp_path / "paused"))
        await run.until(paused, lambda h: h.run is not None and h.run.state == "PAUSED")
        await run.until(live, lambda h: sum(t.state == "COMPLETED" for t in h.tasks.values()) >= 20)
        saving = await subprocess_of("backup", target, "--data-dir", settings.data_dir)
        assert saving[0] == 0, saving
        done_before = await completed_once(run.bus, live)
        for worker in run.workers:
            worker.kill()
        for child in run.system.children:
            assert child.pid is not None
            os.kill(child.pid, 9)
        assert run.system.nats is not None
    assert not list((settings.data_dir / "copies").iterdir())
    assert not [path for path in tmp_path.iterdir() if path.name.endswith((".part", ".restoring"))]
    assert stat.S_IMODE(target.stat().st_mode) == (0o600 if name.endswith(".tar") else 0o700)
    shutil.rmtree(settings.data_dir)

    restored = perfect("restore", target, "--data-dir", elsewhere)
    assert restored.returncode == 0, restored.stderr
    assert "is whole" in restored.stderr
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    async with running(msgspec.structs.replace(settings, data_dir=elsewhere), groups=GROUPS) as again:
        await again.until_ready()
        saved = await completed_once(again.bus, live)
        assert 20 <= len(saved) <= len(done_before) + 1
        already = Counter(trace.read_text().split())
        await again.worker(FLOWS / "worked.py", FLOWS / "waiting.py", concurrency=4)
        resume = commands.ResumeRun(run_id=paused, by="test", input={"approved": True, "comment": "restored"})
        await again.bus.ask(subjects.command("engine", "resume"), resume)
        history = await again.until_final(live)
        assert history.run is not None
        assert history.run.state == "COMPLETED"
        assert len(await completed_once(again.bus, live)) == COUNT
        now = Counter(trace.read_text().split())
        repeated = {key.rpartition("-")[2] for key in saved} & set((now - already).keys())
        assert not repeated, f"tasks that the backup holds as completed ran again: {repeated}"
        assert (await again.until_final(paused)).run.state == "COMPLETED"
        report = await verify(again.bus)
        assert report.ok, report.differences
        assert report.runs == 3
        health = await again.system.health("projector")
        assert health is not None
        assert (health.status, health.detail) == ("ready", "")


async def subprocess_of(*arguments: object) -> tuple[int | None, str, str]:
    import asyncio

    process = await asyncio.create_subprocess_exec(
        PERFECT, *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def saved(settings: Settings, tmp_path: Path) -> Path:
    """A backup of a small system, which has run one flow."""
    async with running(settings, groups=(("projector", "registry", "engine"),)) as run:
        await run.worker(FLOWS / "worked.py")
        await run.until_final(await run.trigger("steps", path=str(tmp_path / "trace"), count=3))
        await until_read(run)
        await backup(run.bus, tmp_path / "saved")
    return tmp_path / "saved"


async def until_read(run: Running) -> None:
    """Until the projector has read all that is on EVENTS."""
    from eventually import eventually

    end = (await run.bus.js.stream_info("EVENTS")).state.last_seq

    async def is_read() -> bool:
        reply = await run.bus.ask(subjects.query("integrity"), queries.Integrity())
        return msgspec.json.decode(reply.value, type=queries.IntegrityReport).offsets["EVENTS"] >= end

    await eventually(is_read)


def rewrite(folder: Path, **changes: object) -> None:
    """Another manifest, with the right checksums."""
    made = msgspec.structs.replace(Manifest.read(folder), **changes)
    (folder / SUMS).unlink()
    (folder / MANIFEST).unlink()
    made.write(folder)


async def test_what_is_refused(saved: Path, tmp_path: Path, settings: Settings) -> None:
    new = msgspec.structs.replace(settings, data_dir=tmp_path / "new")

    async def refusal(folder: Path, wanted: Settings = new) -> str:
        with pytest.raises(InvalidInput) as refused:
            await restore(folder, wanted)
        assert not (tmp_path / "new").exists()
        return refused.value.detail

    def copy(name: str) -> Path:
        return Path(shutil.copytree(saved, tmp_path / name))

    assert "is not empty" in await refusal(saved, settings)
    assert "is no backup" in await refusal(tmp_path / "nothing")

    damaged = copy("damaged")
    for file in ("perfect.duckdb", "streams/EVENTS", MANIFEST):
        path = damaged / file
        kept = path.read_bytes()
        middle = len(kept) // 2
        path.write_bytes(kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1 :])
        assert "damaged" in await refusal(damaged)
        path.write_bytes(kept)
    (damaged / "streams" / "EVENTS").unlink()
    assert "streams/EVENTS is missing" in await refusal(damaged)

    newer = copy("newer")
    rewrite(newer, version="99.0.0")
    assert "Perfect 99.0.0" in await refusal(newer)
    later = copy("later")
    (later / MANIFEST).write_text(json.dumps({"format": 2, "version": "99.0"}))
    assert "made by a newer Perfect" in await refusal(later)

    ahead = copy("ahead")
    end = next(one.last_seq for one in Manifest.read(ahead).streams if one.name == "EVENTS")
    rewrite(ahead, offsets={**Manifest.read(ahead).offsets, "EVENTS": end + 1})
    assert f"which ends at {end}" in await refusal(ahead)

    behind = copy("behind")
    streams = [
        msgspec.structs.replace(one, state={**one.state, "first_seq": end + 10, "last_seq": end + 20})
        if one.name == "EVENTS"
        else one
        for one in Manifest.read(behind).streams
    ]
    rewrite(behind, streams=streams)
    assert f"which begins at {end + 10}" in await refusal(behind)

    await restore(saved, new)
    assert (tmp_path / "new" / "perfect.duckdb").exists()
    assert "is not empty" in perfect("restore", saved, "--data-dir", tmp_path / "new").stderr


async def test_secrets_go_with_a_backup_when_that_is_said(settings: Settings, tmp_path: Path) -> None:
    async with running(settings, groups=(("projector", "registry", "engine"),)) as run:
        for name in ("door", "safe"):
            value = msgspec.Raw(b'"open sesame"')
            saving = commands.SaveSecret(name=name, value=value, save_id=name)
            await run.bus.ask(subjects.command("registry", "save_secret"), saving)
        data_dir = ("--data-dir", settings.data_dir)
        without = await subprocess_of("backup", tmp_path / "without", *data_dir)
        whole = await subprocess_of("backup", tmp_path / "whole", *data_dir, "--with-secrets")
        (tmp_path / "other").mkdir()
        (settings.data_dir / "secrets.key").rename(tmp_path / "other" / "secrets.key")
        missing = await subprocess_of("backup", tmp_path / "missing", *data_dir, "--with-secrets")
    assert without[0] == 0, without
    assert "sealed (door, safe): keep secrets.key" in without[2]
    assert whole[0] == 0, whole
    assert "holds the key of the secrets: whoever can read it" in whole[2]
    assert missing[0] == 2, missing
    assert "there is no key of secrets at" in missing[2]
    assert not (tmp_path / "without" / "secrets.key").exists()
    assert not (tmp_path / "missing").exists()
    kept = tmp_path / "whole" / "secrets.key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    for file in (
        path for name in ("without", "whole") for path in (tmp_path / name).rglob("*") if path.is_file()
    ):
        assert b"open sesame" not in file.read_bytes()

    for name, said, is_open in (
        ("without", "cannot be read: door, safe", False),
        ("whole", "is whole", True),
    ):
        new = msgspec.structs.replace(settings, data_dir=tmp_path / f"{name}-restored")
        restored = await subprocess_of("restore", tmp_path / name, "--data-dir", new.data_dir)
        assert restored[0] == 0, restored
        assert said in restored[2]
        assert ("cannot be read" in restored[2]) is not is_open
        async with running(new, groups=(("projector", "registry", "engine"),)) as again:
            assert await opens(again, tmp_path) is is_open
            if not is_open:
                shutil.copyfile(tmp_path / "other" / "secrets.key", new.data_dir / "secrets.key")
                (new.data_dir / "secrets.key").chmod(0o600)
                assert await opens(again, tmp_path)  # the key is put back


async def opens(run: Running, folder: Path) -> bool:
    """Whether a run can load the secret `door`."""
    file = folder / "opening.py"
    file.write_text(
        "from perfect_sdk import flow\nfrom perfect_sdk.blocks.system import Secret\n\n\n"
        "@flow\ndef opening() -> int:\n    return len(Secret.load('door').get())\n"
    )
    if not run.workers:
        await run.worker(file)
    history = await run.until_final(await run.trigger("opening"))
    assert history.run is not None
    assert history.run.error is None or "secrets.key" in history.run.error.message
    return history.run.state == "COMPLETED"


async def test_holes_after_the_read_model_are_no_backup(settings: Settings, tmp_path: Path) -> None:
    """What leaves the bus between the two copies would be in neither: everything is copied again."""
    said: list[str] = []
    async with running(settings, groups=(("projector", "registry", "engine"),)) as run:
        await run.worker(FLOWS / "worked.py")
        first = await run.trigger("steps", path=str(tmp_path / "trace"), count=3)
        await run.until_final(first)
        await until_read(run)
        asked = run.bus.ask
        moved = []

        async def ask(subject: str, request: object, **options: float) -> commands.Reply:
            reply = await asked(subject, request, **options)
            if subject == subjects.command("projector", "copy") and not moved:
                moved.append(await run.trigger("steps", path=str(tmp_path / "trace"), count=1))
                await run.until_final(moved[0])
                await run.bus.js.purge_stream("EVENTS", subject=subjects.task(moved[0]))
            return reply

        run.bus.ask = ask  # type: ignore[method-assign]
        made = await backup(run.bus, tmp_path / "saved", say=said.append)
    assert [text for text in said if "left the stream EVENTS" in text]
    assert made.gaps() == []
    await restore(tmp_path / "saved", msgspec.structs.replace(settings, data_dir=tmp_path / "new"))
    with pytest.raises(InvalidInput, match="exists already"):
        await backup(run.bus, tmp_path / "saved")
