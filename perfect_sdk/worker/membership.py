"""A worker as the rest of the system sees it: its flows at the registry, its presence, its hello and good-bye."""

import asyncio
import contextlib
import os
import platform
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from perfect_bus import Bus
from perfect_bus.cancelling import cancelled
from perfect_bus.presence import keep, renew, withdraw
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import Presence, RegisterFlow
from perfect_schemas.envelope import Event, utc_now
from perfect_schemas.errors import PerfectError, Rejected
from perfect_schemas.events import ClientConnected, ClientDisconnected
from perfect_sdk.release import version
from perfect_sdk.worker.options import WorkerOptions

GOODBYE_S = 1.0
REGISTER_WAIT_S = 2.0
RETRY_S = 0.5


class Membership:
    """`spawn(coroutine)`: runs it in the background; its failure ends the worker.

    registered(definition): called once the registry knows the flow. is_present: set once everybody can know of the worker.
    """

    def __init__(
        self,
        bus: Bus,
        options: WorkerOptions,
        *,
        client_id: str,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        say: Callable[[str], None],
        registered: Callable[[RegisterFlow], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self._bus = bus
        self._registered = registered
        self._options = options
        self._client_id = client_id
        self._spawn = spawn
        self._say = say
        self._flows: dict[str, RegisterFlow] = {}
        self._draining = False
        self._connected = False
        self.is_present = asyncio.Event()
        self._changed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def register(self, flows: dict[str, RegisterFlow]) -> None:
        """Tell the registry. Without one it goes on all the same after a moment: runs that wait for these flows need
        none, and the registry hears of them when it is back.
        """
        self._flows = dict(flows)
        registering = [self._spawn(self._register(definition)) for definition in flows.values()]
        if registering:
            await asyncio.wait(registering, timeout=REGISTER_WAIT_S)

    async def add(self, flows: dict[str, RegisterFlow]) -> None:
        """Serve these as well, from now on."""
        self._flows |= flows
        for definition in flows.values():
            self._say(f"{self._options.name} serves {definition.name}, too")
            self._spawn(self._register(definition))
        self._changed.set()

    def join(self) -> None:
        """Be present from now on."""
        self._keeper = self._spawn(
            keep(
                self._bus,
                self._presence,
                lease_s=self._options.lease_s,
                every_s=self._options.presence_every_s,
                renewed=self._renewed,
                changed=self._changed,
            )
        )

    def renew(self) -> None:
        """At once, without waiting for the next turn."""
        self._changed.set()

    def drain(self) -> None:
        self._draining = True
        self._changed.set()

    async def say_draining(self) -> None:
        """`drain`, and everybody can know it. Raises BusUnavailable."""
        self._draining = True
        await renew(self._bus, self._presence(), self._options.lease_s)

    async def leave(self) -> None:
        """Say good-bye. Everything held must have ended before: whatever is left is handed to others at once."""
        if self._keeper is not None:
            await cancelled(self._keeper)  # presence must not be renewed behind the good-bye
        if self._connected:
            self._put(ClientDisconnected(**self._envelope(), client_id=self._client_id))
            with contextlib.suppress(PerfectError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await withdraw(self._bus, self._client_id)

    async def _register(self, definition: RegisterFlow) -> None:
        """Again until the registry answers."""
        subject = subjects.command("registry", "register")
        definition = msgspec.structs.replace(
            definition, client_id=self._client_id, client_name=self._options.name
        )
        said = False
        while True:
            try:
                await self._bus.ask(subject, definition)
                if self._registered is not None:
                    await self._registered(definition)
            except Rejected as error:
                self._say(f"flow {definition.name!r} was not registered: {error.detail}")
                return
            except PerfectError as error:
                if not said:
                    said = True
                    self._say(f"flow {definition.name!r} is not registered yet, trying again: {error.detail}")
                await asyncio.sleep(RETRY_S)
            else:
                return

    def _renewed(self) -> None:
        if self._connected:
            return
        self._connected = True
        self.is_present.set()
        self._put(
            ClientConnected(
                **self._envelope(),
                client_id=self._client_id,
                name=self._options.name,
                host=socket.gethostname(),
                pid=os.getpid(),
                slots=self._options.slots,
                flows=list(self._flows),
                queues=[self._options.queue],
                sdk_version=version(),
                python_version=platform.python_version(),
            )
        )
        names = ", ".join(definition.name for definition in self._flows.values()) or "tasks that are delayed"
        self._say(f"{self._options.name} serves {names} ({self._options.slots} slots)")

    def _presence(self) -> Presence:
        return Presence(
            client_id=self._client_id,
            name=self._options.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            slots=self._options.slots,
            flows=list(self._flows),
            queues=[self._options.queue],
            draining=self._draining,
            deployments=[one.name for one in self._options.served],
            takes_offers=True,
        )

    def _envelope(self) -> dict[str, Any]:
        return {"id": ids.uuid7(), "at": utc_now(), "source": f"worker:{self._client_id}"}

    def _put(self, event: Event) -> None:
        self._bus.outbox.put(subjects.client(self._client_id), codec.encode(event), event.id)
