"""The launcher: knows which client processes should run on its host, and has a runner for each.

One a host: it holds the key of its host's name. While another one does, it waits until that is gone, and says so.
"""

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import ClassVar

import msgspec

from perfect_bus.launchers import Hold, until_free
from perfect_launcher import machine, process
from perfect_launcher.process import Stamp
from perfect_launcher.replies import Replies
from perfect_launcher.runner import STOP_GRACE_S, Runner
from perfect_launcher.workflows import Workflows
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.errors import CannotStart
from perfect_runtime.service import Context, Service
from perfect_schemas import codec, hosts, ids, subjects
from perfect_schemas.commands import Health, LauncherPresence
from perfect_schemas.errors import PerfectError
from perfect_schemas.folds.process import Process, evolve

STREAM = "DEFS"
QUIT_GRACE_S = 1.6  # the launcher itself has to end in 2.5 s


class LauncherService(Service):
    name: ClassVar[str] = "launcher"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.workflows = Workflows(Path(self.settings.workflows_dir))
        self.host = self.settings.launcher_name
        self._runners: dict[str, Runner] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._replies = Replies(self.bus, self)
        self._hold: Hold | None = None
        self._is_holding = False
        self._renewing: asyncio.Task[None] | None = None
        self._waits_for: LauncherPresence | None = None

    async def start(self) -> None:
        """Raises CannotStart for a name that no host can have."""
        if not hosts.is_name(self.host):
            raise CannotStart(
                f"{self.host!r} cannot be the name of a host: use letters, digits, '-' and '_', and dots between them, "
                f"at most {hosts.LENGTH} characters (PERFECT_LAUNCHER_HOST, --launcher-host)"
            )
        self._hold = Hold(self.bus, self._presence(), self.settings.lease_s)
        held = await self._take(self._hold)
        if held is None:
            await self._serve(self._hold)
        else:
            self._wait_for(held)
            self.context.spawn(self._serve_later(self._hold), "wait for the host")

    async def stop(self) -> None:
        """What runs is ended and stays wanted: the next launcher starts it again. After a failure it is left running, for
        the next launcher to take over.
        """
        self.status = "stopping"
        if self._is_holding and not self.context.failure.done():
            await asyncio.gather(*(one.end(QUIT_GRACE_S, hurry=True) for one in self._runners.values()))
            if self._keepers:
                await asyncio.wait(self._keepers.values(), timeout=0.5)
        if self._is_holding and self._hold is not None:
            self._is_holding = False
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.wait({self._renewing}, timeout=0.2)
            with contextlib.suppress(PerfectError):
                await self._hold.give_back()

    def health(self) -> Health:
        health = super().health()
        if self._waits_for is None:
            return health
        return msgspec.structs.replace(health, detail=_busy(self._waits_for))

    def metrics(self) -> dict[str, float]:
        return {"processes": sum(one.is_running for one in self._runners.values())}

    def runners(self, file: str | None = None) -> list[Runner]:
        """All that were ever asked for, by file, or just the one of `file`. Raises InvalidInput."""
        wanted = self.workflows.name_of(file) if file is not None else None
        found = [one for one in self._runners.values() if wanted is None or one.state.file == wanted]
        return sorted(found, key=lambda one: one.state.file)

    async def request(self, file: str, by: str) -> tuple[Runner, bool]:
        """Run `file` from now on; whether that is new. Raises NotFound, InvalidInput for what may not be started."""
        name = self.workflows.name_of(file)
        self.workflows.find(name)
        process_id = self._id_of(name)
        runner = self._runners.get(process_id)
        aggregate = runner.aggregate if runner else Aggregate(subjects.process(process_id), evolve)
        stored = await handle(
            self.bus,
            aggregate,
            lambda known: process.request(known, process_id, name, self.host, by, self._stamp()),
        )
        runner = self._runners.get(process_id) or self._runner(aggregate)
        self._keep(runner)
        if stored:
            self.log.info("client process requested", file=name, by=by)
        return runner, bool(stored)

    async def dismiss(self, file: str, by: str) -> tuple[Runner, bool]:
        """Run it no longer. Returns when it has ended. Raises NotFound, InvalidInput."""
        name = self.workflows.name_of(file)
        process_id = self._id_of(name)
        runner = self._runners.get(process_id)
        known = runner.state if runner else None
        process.stop(known, name, by, self._stamp())
        assert runner is not None
        stored = await handle(
            self.bus, runner.aggregate, lambda known: process.stop(known, name, by, self._stamp())
        )
        if stored:
            self.log.info("client process stopped", file=name, by=by)
        await runner.end(STOP_GRACE_S)
        keeper = self._keepers.get(process_id)
        if keeper is not None:
            await asyncio.wait({keeper})
        return runner, bool(stored)

    # -- the host

    def _presence(self) -> LauncherPresence:
        return LauncherPresence(
            host=self.host,
            launcher_id=ids.uuid7(),
            pid=os.getpid(),
            since=self.clock(),
            folder=str(self.workflows.folder),
            machine=machine.identity(),
            started_ticks=machine.started_ticks(os.getpid()),
        )

    async def _take(self, hold: Hold) -> LauncherPresence | None:
        """None when the host is ours now, else whose it is. That of a launcher that is dead for sure is taken at once."""
        held = await hold.take()
        while held is not None and machine.is_dead(held):
            held = await hold.take(over=held)
        return held

    def _wait_for(self, held: LauncherPresence) -> None:
        if self._waits_for is None or self._waits_for.launcher_id != held.launcher_id:
            self.log.warning(_busy(held))
        self._waits_for = held
        self.status = "degraded"

    async def _serve_later(self, hold: Hold) -> None:
        while True:
            await until_free(self.bus, self.host)
            held = await self._take(hold)
            if held is None:
                break
            self._wait_for(held)
        self._waits_for = None
        await self._serve(hold)
        self.status = "ready"
        self.log.info("the host is free now", host=self.host)

    async def _serve(self, hold: Hold) -> None:
        self._is_holding = True
        self._renewing = self.context.spawn(self._hold_on(hold), "presence of the launcher")
        aggregates: dict[str, Aggregate[Process]] = {}
        for seq, subject, data in await self.bus.read_raw(subjects.ALL_PROCESSES, stream=STREAM):
            aggregate = aggregates.setdefault(subject, Aggregate(subject, evolve))
            aggregate.apply(codec.decode(data), seq)
        for aggregate in aggregates.values():
            if aggregate.state is not None and aggregate.state.host == self.host:
                self._keep(self._runner(aggregate))
        await self._replies.start(self.host)

    async def _hold_on(self, hold: Hold) -> None:
        taken = await hold.keep(self.settings.presence_every_s)
        assert taken is not None
        self._is_holding = False
        raise CannotStart(
            f"this launcher could not renew its presence for more than {self.settings.lease_s:g} s, and meanwhile another "
            f"one became the launcher of the host {self.host!r} ({_who(taken)})"
        )

    # -- its processes

    def _id_of(self, file: str) -> str:
        """Of the process that is known by the file, or a new one's."""
        for runner in self._runners.values():
            if runner.state.file == file:
                return runner.state.id
        return ids.process_id(self.host, file)

    def _runner(self, aggregate: Aggregate[Process]) -> Runner:
        assert aggregate.state is not None
        runner = Runner(self.bus, self.settings, self.workflows, aggregate, stamp=self._stamp)
        self._runners[aggregate.state.id] = runner
        return runner

    def _keep(self, runner: Runner) -> None:
        """At most one keeper a process; a wanted one has one, and one that is not wanted but not known to have ended."""
        known = runner.state
        keeper = self._keepers.get(known.id)
        is_kept = keeper is not None and not keeper.done()
        if is_kept or self.status == "stopping" or (keeper is not None and keeper.cancelled()):
            return
        if known.wanted:
            runner.renew()
            self._begin(runner, runner.keep())
        elif keeper is None:
            self._begin(runner, runner.sweep())

    def _begin(self, runner: Runner, work: Coroutine[None, None, None]) -> None:
        keeper = self.context.spawn(work, f"client process {runner.state.file}")
        keeper.add_done_callback(lambda _: self._keep(runner))  # wanted again while it was being ended
        self._keepers[runner.state.id] = keeper

    def _stamp(self) -> Stamp:
        return Stamp(ids.uuid7(), self.clock())


def _who(held: LauncherPresence) -> str:
    return f"pid {held.pid}, workflows folder {held.folder}, since {held.since:%Y-%m-%d %H:%M:%S} UTC"


def _busy(held: LauncherPresence) -> str:
    return (
        f"another launcher runs the client processes of the host {held.host!r} ({_who(held)}): this one starts nothing "
        "until that one has ended. On another host give this one a name of its own, with PERFECT_LAUNCHER_HOST or "
        "--launcher-host"
    )
