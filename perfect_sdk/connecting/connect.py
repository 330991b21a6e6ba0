"""Plain calls with a running system: a script registers itself as a client and starts its own run (`origin: local`).

One client a process: its presence begins with the first such call and ends with the process. Should the process die,
the run is continued by a worker that serves the flow, or ends as crashed after one lease.
"""

import asyncio
import atexit
import contextlib
import os
import platform
import socket
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from perfect_bus import Guard, append
from perfect_bus.bus import Connection
from perfect_bus.cancelling import cancelled
from perfect_bus.presence import keep, withdraw
from perfect_bus.settings import Settings, find_connection
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import Control, Pausing, Presence, RegisterFlow
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import BusUnavailable, PerfectError, Rejected, ServiceUnavailable
from perfect_schemas.events import ClientConnected, ClientDisconnected, LogLine, RunScheduled, RunStarted
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState
from perfect_sdk.connecting.io import IO
from perfect_sdk.recording.bus_journal import BusJournal

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_sdk.flow import Flow
    from perfect_sdk.recording.journal import Journal
    from perfect_sdk.running.session import RunContext, RunSession

DECIDE_S = 0.1
START_S = 10.0
REGISTER_S = 2.0
GOODBYE_S = 2.0

_decode_control = msgspec.json.Decoder(Control).decode
_decode_pausing = msgspec.json.Decoder(Pausing).decode


def find(settings: Settings | None = None, *, timeout_s: float = DECIDE_S) -> Connection | None:
    """How to reach the running system, None when there is none or it does not answer within `timeout_s`.

    Raises InvalidInput when a setting or `connection.json` is wrong.
    """
    connection = find_connection(settings or Settings.load())
    return connection if connection is not None and answers(connection.url, timeout_s) else None


def answers(url: str, timeout_s: float = DECIDE_S) -> bool:
    """Whether anything listens there."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4222), timeout_s):
            return True
    except OSError:
        return False


def connected_run(
    flow: "Flow", run: "RunContext"
) -> "AbstractContextManager[tuple[RunContext, Journal]] | None":
    """What a plain call runs in when a system is there, None when there is none. See `session` for the contract."""
    try:
        settings = Settings.load()
        connection = find(settings)
        if connection is None:
            return None
        client = LocalClient.of_process(connection, settings)
    except PerfectError as error:
        print(f"perfect: runs locally, without the running system: {error.detail}", file=sys.stderr)
        return None
    return client.run(flow, run)


class LocalJournal(BusJournal):
    """Log lines also go to stderr: somebody has called the flow and looks on."""

    steered: "weakref.WeakValueDictionary[str, RunSession] | None" = None

    def steers(self, session: "RunSession") -> None:
        if self.steered is not None:
            self.steered[self.run_id] = session

    def log(self, line: LogLine) -> None:
        from perfect_sdk.running.local import echo

        echo(line)
        super().log(line)


class LocalClient:
    """The process as a client: its connection and its presence."""

    _of_process: "LocalClient | None" = None
    _making = threading.Lock()

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self.client_id = ids.uuid7()
        script = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
        self.name = f"{script or 'python'}@{socket.gethostname()}-{os.getpid()}"
        self.source = f"client:{self.client_id}"
        self._settings = settings
        self._registered: set[tuple[str, str]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._sessions: weakref.WeakValueDictionary[str, RunSession] = weakref.WeakValueDictionary()
        self.io = IO(connection, name=self.name)
        self.io.lease_s = settings.lease_s
        self.io.start(START_S)
        self.io.call(self._appear)

    @classmethod
    def of_process(cls, connection: Connection, settings: Settings) -> "LocalClient":
        """Raises BusUnavailable when the connection cannot be made."""
        with cls._making:
            if cls._of_process is None:
                cls._of_process = cls(connection, settings)
            return cls._of_process

    @contextmanager
    def run(self, flow: "Flow", run: "RunContext") -> "Iterator[tuple[RunContext, Journal]]":
        self._register(flow)
        claimed = self.io.call(self._start_run, run)
        journal = LocalJournal(
            self.io, run_id=run.run_id, epoch=claimed.epoch, claim_seq=claimed.claim_seq, source=self.source
        )
        journal.steered = self._sessions
        try:
            yield claimed, journal
        finally:
            self._sessions.pop(run.run_id, None)
            journal.flush()
            with contextlib.suppress(PerfectError, TimeoutError):
                self.io.call(self._flush)

    def _register(self, flow: "Flow") -> None:
        """A run is recorded also while the registry is away; its flow is then known from the next call on."""
        definition = flow.definition
        version = (definition.name, definition.flow_version)
        if version in self._registered:
            return
        try:
            self.io.call(self._ask_registry, definition)
        except (ServiceUnavailable, Rejected) as error:
            print(f"perfect: flow {definition.name!r} was not registered: {error.detail}", file=sys.stderr)
        else:
            self._registered.add(version)

    # -- on the I/O loop

    async def _controlled(self, msg: "Msg") -> None:
        control = _decode_control(msg.data)
        session = self._sessions.get(control.run_id or "")
        if session is not None and control.verb == "cancel":
            session.cancel()

    async def _told_to_pause(self, msg: "Msg") -> None:
        pausing = _decode_pausing(msg.data)
        session = self._sessions.get(pausing.run_id)
        if session is not None and session.epoch == pausing.epoch:
            session.journal.is_pausing = True

    def _reconnected(self) -> None:
        self.io.spawn(self._review())

    async def _review(self) -> None:
        """Messages may have been missed while the connection was away: read what became of the runs."""
        for run_id, session in list(self._sessions.items()):
            life: RunLife | None = None
            with contextlib.suppress(BusUnavailable):  # then it is reviewed at the next reconnection
                for seq, event in await self.io.bus.read(subjects.run(run_id)):
                    if not isinstance(event, UnknownEvent):
                        life = run_fold.evolve(life, event, seq)
            if life is None or life.client_id != self.client_id:
                continue
            if life.state is RunState.CANCELLING:
                session.cancel()
            elif run_fold.is_pausing(life):
                session.journal.is_pausing = True

    async def _ask_registry(self, definition: RegisterFlow) -> None:
        definition = msgspec.structs.replace(definition, client_id=self.client_id, client_name=self.name)
        await self.io.bus.ask(subjects.command("registry", "register"), definition, timeout_s=REGISTER_S)

    async def _start_run(self, run: "RunContext") -> "RunContext":
        bus, subject = self.io.bus, subjects.run(run.run_id)
        scheduled = RunScheduled(
            id=ids.uuid7(),
            at=utc_now(),
            source=self.source,
            run_id=run.run_id,
            flow_id=run.flow_id,
            flow_name=run.flow_name,
            flow_version=run.flow_version,
            configuration=run.configuration,
            parameters=run.parameters,
            tags=run.tags,
            origin="local",
            name=run.name,
            parent_run_id=run.parent_run_id,
        )
        seq = await append(bus, subject, scheduled, Guard(subject, 0))
        started = RunStarted(
            id=ids.uuid7(),
            at=utc_now(),
            source=self.source,
            run_id=run.run_id,
            epoch=1,
            client_id=self.client_id,
            client_name=self.name,
            flow_version=run.flow_version,
        )
        seq = await append(bus, subject, started, Guard(subject, seq))
        return msgspec.structs.replace(
            run,
            epoch=1,
            claim_seq=seq,
            client_id=self.client_id,
            client_name=self.name,
            source=self.source,
            created_at=scheduled.at,
        )

    async def _flush(self) -> None:
        async with asyncio.timeout(5):
            await self.io.bus.outbox.flush()

    def _presence(self) -> Presence:
        """No slots and no flows: nothing is handed over to a script."""
        return Presence(
            client_id=self.client_id,
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            slots=0,
            queues=[],
        )

    async def _appear(self) -> None:
        """Be present before the first run starts, so that nobody takes it for lost."""
        connected = ClientConnected(
            id=ids.uuid7(),
            at=utc_now(),
            source=self.source,
            client_id=self.client_id,
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            slots=0,
            python_version=platform.python_version(),
        )
        bus = self.io.bus
        bus.outbox.put(subjects.client(self.client_id), codec.encode(connected), connected.id)
        present = asyncio.Event()
        changed = asyncio.Event()
        bus.reconnected.append(changed.set)
        bus.reconnected.append(self._reconnected)
        await bus.nc.subscribe(subjects.control(self.client_id), cb=self._controlled)
        await bus.nc.subscribe(subjects.control_pause(self.client_id), cb=self._told_to_pause)
        self._keeper = asyncio.get_running_loop().create_task(
            keep(
                bus,
                self._presence,
                lease_s=self._settings.lease_s,
                every_s=self._settings.presence_every_s,
                renewed=present.set,
                changed=changed,
            )
        )
        try:
            async with asyncio.timeout(START_S):
                await present.wait()
        except TimeoutError:
            self._keeper.cancel()
            raise BusUnavailable(
                "NATS does not take this client's presence (is the system starting?)"
            ) from None

    async def _leave(self) -> None:
        if self._keeper is not None:
            await cancelled(self._keeper)
        gone = ClientDisconnected(id=ids.uuid7(), at=utc_now(), source=self.source, client_id=self.client_id)
        self.io.bus.outbox.put(subjects.client(self.client_id), codec.encode(gone), gone.id)
        async with asyncio.timeout(GOODBYE_S):
            await withdraw(self.io.bus, self.client_id)

    def close(self) -> None:
        with contextlib.suppress(PerfectError, TimeoutError, RuntimeError):
            self.io.call(self._leave)
        self.io.close()


def leave() -> None:
    """End this process's presence; a later call makes a new client."""
    client, LocalClient._of_process = LocalClient._of_process, None
    if client is not None:
        client.close()


def _after_fork() -> None:
    LocalClient._of_process = None
    LocalClient._making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(leave)
