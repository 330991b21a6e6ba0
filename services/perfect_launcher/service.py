"""The launcher: knows which client processes should run, and has a runner for each."""

import asyncio
from pathlib import Path
from typing import ClassVar

from perfect_launcher import process
from perfect_launcher.process import Process, Stamp
from perfect_launcher.replies import Replies
from perfect_launcher.runner import Runner
from perfect_launcher.workflows import Workflows
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.service import Context, Service
from perfect_schemas import codec, ids, subjects

STREAM = "DEFS"
STOP_GRACE_S = 6.0  # a worker lets its runs go on for 3 s
QUIT_GRACE_S = 1.6  # the launcher itself has to end in 2.5 s


class LauncherService(Service):
    name: ClassVar[str] = "launcher"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.workflows = Workflows(Path(self.settings.workflows_dir))
        self._runners: dict[str, Runner] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._replies = Replies(self.bus, self)

    async def start(self) -> None:
        aggregates: dict[str, Aggregate[Process]] = {}
        for seq, subject, data in await self.bus.read_raw(subjects.ALL_PROCESSES, stream=STREAM):
            aggregate = aggregates.setdefault(subject, Aggregate(subject, process.evolve))
            aggregate.apply(codec.decode(data), seq)
        for aggregate in aggregates.values():
            if aggregate.state is not None:
                await handle(self.bus, aggregate, lambda known: process.recover(known, self._stamp()))
                self._keep(self._runner(aggregate))
        await self._replies.start()

    async def stop(self) -> None:
        """What runs is ended and stays wanted: the next launcher starts it again."""
        self.status = "stopping"
        await asyncio.gather(*(one.end(QUIT_GRACE_S, hurry=True) for one in self._runners.values()))
        if self._keepers:
            await asyncio.wait(self._keepers.values(), timeout=0.5)

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
        process_id = ids.process_id(name)
        runner = self._runners.get(process_id)
        aggregate = runner.aggregate if runner else Aggregate(subjects.process(process_id), process.evolve)
        stored = await handle(
            self.bus, aggregate, lambda known: process.request(known, process_id, name, by, self._stamp())
        )
        runner = self._runners.get(process_id) or self._runner(aggregate)
        self._keep(runner)
        if stored:
            self.log.info("client process requested", file=name, by=by)
        return runner, bool(stored)

    async def dismiss(self, file: str, by: str) -> tuple[Runner, bool]:
        """Run it no longer. Returns when it has ended. Raises NotFound, InvalidInput."""
        name = self.workflows.name_of(file)
        process_id = ids.process_id(name)
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

    def _runner(self, aggregate: Aggregate[Process]) -> Runner:
        assert aggregate.state is not None
        runner = Runner(self.bus, self.settings, self.workflows, aggregate, stamp=self._stamp)
        self._runners[aggregate.state.id] = runner
        return runner

    def _keep(self, runner: Runner) -> None:
        """At most one keeper a process; a wanted one has one."""
        known = runner.state
        keeper = self._keepers.get(known.id)
        is_kept = keeper is not None and not keeper.done()
        if known.wanted and not is_kept and self.status != "stopping":
            runner.renew()
            keeper = self.context.spawn(runner.keep(), f"client process {known.file}")
            keeper.add_done_callback(lambda _: self._keep(runner))  # wanted again while it was being ended
            self._keepers[known.id] = keeper

    def _stamp(self) -> Stamp:
        return Stamp(ids.uuid7(), self.clock())
