import asyncio
import contextlib
import json
import os
import subprocess
import sys

import pytest
import structlog

from perfect_bus.settings import Settings
from perfect_runtime.errors import CannotStart
from perfect_runtime.keeper import describe, log_file, next_pause
from perfect_runtime.lock import DataDirLock
from perfect_runtime.logging import mask
from perfect_runtime.service import Context
from perfect_runtime.up import check_host
from perfect_schemas.errors import InvalidInput


def test_secrets_are_masked():
    event = {
        "event": "connected to nats://perfect:geheim@127.0.0.1:4222",
        "password": "geheim",
        "api_key": "geheim",
        "auth_token": "geheim",
        "plain": "kept",
        "url": "http://host/path?x=a@b",
    }
    masked = mask(None, "", event)
    assert "geheim" not in str(masked)
    assert masked["event"] == "connected to nats://***@127.0.0.1:4222"
    assert (masked["plain"], masked["url"]) == ("kept", "http://host/path?x=a@b")


def test_json_logs_of_ours_and_of_the_standard_library():
    code = (
        "import logging; from perfect_bus.settings import Settings; from perfect_runtime.logging import set_up;"
        "log = set_up(Settings(log_format='json'), 'p'); log.info('ours', password='geheim');"
        "logging.getLogger('x').warning('theirs %s', 1); log.debug('not shown')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("ours", "info"), ("theirs 1", "warning")]
    assert lines[0]["password"] == "***"
    assert lines[0]["process"] == "p"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_loopback(host):
    check_host(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "perfect.example"])
def test_not_loopback(host):
    with pytest.raises(InvalidInput, match="no login yet"):
        check_host(host)


def test_lock_is_free_again_after_its_owner(tmp_path):
    first, second = DataDirLock(tmp_path), DataDirLock(tmp_path)
    first.acquire()
    with pytest.raises(CannotStart, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    second.release()


def test_large_log_is_set_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("perfect_runtime.keeper.LOG_BYTES", 3)
    (tmp_path / "logs").mkdir()
    log_file(tmp_path, "engine").write_text("more than 3")
    assert not log_file(tmp_path, "engine").exists()
    assert (tmp_path / "logs" / "engine.log.1").read_text() == "more than 3"


def test_describe():
    assert describe(-9) == "signal 9"
    assert describe(1) == "exit code 1"


def test_pauses_between_starts():
    pauses = [0.1]
    for _ in range(8):
        pauses.append(next_pause(pauses[-1], lived_s=0.1))
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert next_pause(0.0, lived_s=0.1) == next_pause(5.0, lived_s=60) == 0.1


def test_the_parent_of_a_system_stays_small():
    """`perfect up` imports nothing that only its children need."""
    code = "import sys, perfect_runtime.up, perfect_runtime.cli.up; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"duckdb", "litestar", "uvloop", "structlog", "jsonschema", "rich"} & set(loaded)


def test_settings_reach_a_child_by_its_environment(tmp_path):
    settings = Settings(data_dir=tmp_path, port=1, lease_s=2.5, durability="strict")
    assert Settings.load(environ=settings.environment(), file=tmp_path / "none") == settings


async def test_background_work_that_swallows_a_cancellation_is_ended_all_the_same():
    context = Context(bus=None, settings=Settings(), log=structlog.get_logger())

    async def stubborn():
        for _ in range(2):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        await asyncio.sleep(60)

    task = context.spawn(stubborn(), "stubborn")
    await asyncio.sleep(0)
    await context.cancel_spawned()
    assert task.cancelled()
