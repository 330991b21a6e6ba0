"""The embedded nats-server: its configuration, its credentials, its life.

Everything is under the data folder (0700): `nats/` (the streams), `logs/nats.log`, `nats.conf` and `nats.json` (0600,
port and credentials, kept so that workers find the next start of the system where the last one was).
"""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

import msgspec

from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_runtime import child
from perfect_runtime.errors import CannotStart
from perfect_runtime.lock import DataDirLock
from perfect_runtime.nats_binary import find_nats_server

HOST = "127.0.0.1"
READY_S = 30.0
STOP_S = 3.0
FIRST_PROBE_S = 0.002
LAST_PROBE_S = 0.02

CONFIGURATION = """\
# Written by Perfect at each start; changes are lost.
server_name: perfect
listen: "{host}:{port}"
max_payload: 8MB
max_pending: 128MB
write_deadline: "30s"
log_file: {log}
logfile_size_limit: 16MB
logfile_max_num: 3
authorization {{
  users: [
    {{ user: {user}, password: {password} }}
  ]
}}
jetstream {{
  store_dir: {store}
  max_memory_store: 256MB
  max_file_store: 1TB
  sync_interval: {sync}
}}
"""


def processors() -> int:
    """How many of the machine's the server takes at once: half of them. With all of two, its threads wake each other and stand
    in the way of the processes that they serve (ADR 0017).
    """
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(count // 2, 1)


class Access(msgspec.Struct, frozen=True):
    """How this server is reached: kept over restarts, so that clients come back by themselves."""

    port: int
    user: str
    password: str


class NatsServer:
    """One nats-server child over one data folder. `start` and `stop` may be called again and again.

    It does not restart by itself: its owner awaits `exited()` and starts it again (see `up.System`).
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.absolute()
        self._lock = DataDirLock(self.data_dir)
        self._binary: Path | None = None
        self._access: Access | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection(self) -> Connection:
        access = self._prepared()
        return Connection(url=f"nats://{HOST}:{access.port}", user=access.user, password=access.password)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.is_running and self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def prepare(self) -> None:
        """Find the program, lock the folder, choose port and credentials. Raises CannotStart."""
        if self._access is not None:
            return
        self._binary = find_nats_server(self.settings.nats_server)
        make_private(self.data_dir)
        make_private(self.data_dir / "logs")
        make_private(self.data_dir / "nats")
        self._lock.acquire()
        try:
            self._access = self._choose_access()
            self._write_configuration(self._access)
        except BaseException:
            self._lock.release()
            raise

    def spawn(self) -> None:
        """Start the process; it does not answer yet."""
        self.prepare()
        self._process = child.spawn(
            [self._binary or "nats-server", "-c", self.data_dir / "nats.conf"],
            env={**os.environ, "GOMAXPROCS": os.environ.get("GOMAXPROCS") or str(processors())},
            output=subprocess.DEVNULL,
            pass_fds=[self._lock.descriptor],
            death_signal=signal.SIGTERM,
        )

    def start(self) -> None:
        """Start it and wait until it answers (12–30 ms). Blocks. Raises CannotStart."""
        self.spawn()
        deadline, pause = time.monotonic() + READY_S, FIRST_PROBE_S
        while not self.answers():
            self._check(deadline)
            time.sleep(pause)
            pause = min(pause * 1.5, LAST_PROBE_S)

    async def start_async(self) -> None:
        self.spawn()
        deadline, pause = time.monotonic() + READY_S, FIRST_PROBE_S
        while not self.answers():
            self._check(deadline)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LAST_PROBE_S)

    async def exited(self) -> int:
        """Wait for the end of the running process."""
        if self._process is None:
            raise RuntimeError("nats-server was not started")
        return await child.exited(self._process)

    def kill(self) -> None:
        """SIGKILL, and wait for the end. For tests of what follows."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it and give the folder free. Blocks for at most 3 s."""
        if self._process is not None:
            child.end(self._process, STOP_S)
            self._process = None
        self._lock.release()
        self._access = None

    def answers(self) -> bool:
        """It listens only once its streams are recovered: a greeting means ready."""
        try:
            with socket.create_connection((HOST, self._prepared().port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def _check(self, deadline: float) -> None:
        assert self._process is not None
        code = self._process.poll()
        if code is None and time.monotonic() < deadline:
            return
        log = self.data_dir / "logs" / "nats.log"
        what = (
            f"ended with exit code {code}" if code is not None else f"did not answer within {READY_S:.0f} s"
        )
        raise CannotStart(f"nats-server {what}. Its log is {log}:\n{last_lines(log, 5)}")

    def _prepared(self) -> Access:
        if self._access is None:
            raise RuntimeError("nats-server was not prepared")
        return self._access

    def _choose_access(self) -> Access:
        file = self.data_dir / "nats.json"
        try:
            kept = msgspec.json.decode(file.read_bytes(), type=Access)
        except (FileNotFoundError, msgspec.DecodeError):
            kept = Access(port=0, user="perfect", password=secrets.token_urlsafe(32))
        wanted = self.settings.nats_port
        if wanted:
            if not is_free(HOST, wanted):
                raise CannotStart(
                    f"port {wanted} of {HOST} is in use, so nats-server cannot listen there. "
                    "Choose another with --nats-port (0: any free one), or stop what uses it."
                )
            port = wanted
        else:
            port = kept.port if kept.port and is_free(HOST, kept.port) else free_port(HOST)
        access = Access(port=port, user=kept.user, password=kept.password)
        write_private(file, msgspec.json.encode(access))
        return access

    def _write_configuration(self, access: Access) -> None:
        text = CONFIGURATION.format(
            host=HOST,
            port=access.port,
            log=json.dumps(str(self.data_dir / "logs" / "nats.log")),
            user=json.dumps(access.user),
            password=json.dumps(access.password),
            store=json.dumps(str(self.data_dir / "nats")),
            sync="always" if self.settings.durability == "strict" else '"250ms"',
        )
        write_private(self.data_dir / "nats.conf", text.encode())


def make_private(folder: Path) -> None:
    """Create the folder, readable by its owner only. Raises CannotStart."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise CannotStart(f"the folder {folder} cannot be used: {error.strerror or error}") from error


def write_private(file: Path, data: bytes) -> None:
    part = file.with_name(file.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    part.replace(file)


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def last_lines(file: Path, count: int) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return "(no log)"
