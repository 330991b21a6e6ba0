"""The supervisor: keeps presence, takes hand-overs, and watches over the executors.

It imports nothing of the user's, so nothing that user code does can hold up its heartbeat. What an executor cannot say
any more (it is dead), the supervisor says in its place.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterable
from typing import Any

import msgspec
from nats.aio.msg import Msg

from perfect_bus import Bus
from perfect_bus.cancelling import cancelled
from perfect_bus.intake import Intake
from perfect_schemas import ids, subjects
from perfect_schemas.commands import Control, Pausing, RegisterFlow, TaskHandOver
from perfect_schemas.errors import BusUnavailable
from perfect_sdk.worker.background import Background
from perfect_sdk.worker.child import Child
from perfect_sdk.worker.clock import boot_time
from perfect_sdk.worker.crew import Crew
from perfect_sdk.worker.forked import ForkedExecutor
from perfect_sdk.worker.frames import Ended, Ready, Serve, TaskEnded, Unwound
from perfect_sdk.worker.held_tasks import HeldTasks
from perfect_sdk.worker.membership import Membership
from perfect_sdk.worker.offers import Offers
from perfect_sdk.worker.options import WorkerOptions
from perfect_sdk.worker.runs import Runs
from perfect_sdk.worker.served import Deployments

CONNECT_S = 3.0  # then it says that it is waiting
GOODBYE_S = 1.0

_decode_control = msgspec.json.Decoder(Control).decode
_decode_pausing = msgspec.json.Decoder(Pausing).decode


def say(text: str) -> None:
    print(f"perfect worker: {text}", file=sys.stderr, flush=True)


class Supervisor:
    """`await Supervisor(options).run()` returns the exit code: 0 stopped, 1 nothing could be served."""

    def __init__(self, options: WorkerOptions, forked: list[ForkedExecutor] | None = None) -> None:
        self.options = options
        self._forked = forked
        self.client_id = ids.uuid7()
        self.flows: dict[str, RegisterFlow] = {}
        self._is_serving = False
        self._draining = False
        self._failed = False
        self._away = False
        self._stop = asyncio.Event()
        self._now = asyncio.Event()  # a second signal: do not wait for runs
        self._last_tick = boot_time()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._bus: Bus
        self._crew: Crew
        self._runs: Runs
        self._intake: Intake
        self._offers: Offers
        self._membership: Membership
        self._deployments: Deployments
        self._held_tasks: HeldTasks
        self._task_intake: Intake
        self._background: Background

    # -- life

    async def run(self) -> int:
        bus = await self._connect_unless_stopped()
        if bus is None:
            return 0
        self._bus = bus
        try:
            await self._begin()
            await self._stop.wait()
            await self._end()
        finally:
            for task in list(self._tasks):
                task.cancel()
            await self._bus.close(GOODBYE_S)
        return 1 if self._failed else 0

    def stop(self) -> None:
        """Drain and end; a second call ends at once."""
        if self._stop.is_set():
            self._now.set()
        self._stop.set()

    async def _connect_unless_stopped(self) -> Bus | None:
        connecting = asyncio.ensure_future(self._connect())
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if connecting.done():
            return connecting.result()
        await cancelled(connecting)
        return None

    async def _connect(self) -> Bus:
        said = False
        while True:
            try:
                return await Bus.connect(
                    self.options.connection,
                    name=f"worker {self.options.name}",
                    timeout_s=CONNECT_S,
                    on_error=self._bus_error,
                )
            except BusUnavailable as error:
                if not said:
                    said = True
                    say(f"{error.detail}; trying again until it does")

    async def _begin(self) -> None:
        options = self.options
        serve = Serve(
            targets=options.targets,
            connection=options.connection,
            client_id=self.client_id,
            client_name=options.name,
            concurrency=options.concurrency,
            lease_s=options.lease_s,
            suspend_after_s=options.suspend_after_s,
        )
        self._crew = Crew(
            serve,
            options.processes,
            forked=self._forked,
            on_ready=self._child_ready,
            on_ended=self._child_ended,
            on_died=self._child_died,
            on_hopeless=self._give_up,
        )
        self._runs = Runs(
            self._bus,
            self._crew,
            client_id=self.client_id,
            client_name=options.name,
            cancel_grace_s=options.cancel_grace_s,
            changed=self._slot_freed,
            say=say,
        )
        self._offers = Offers(self._bus, self.client_id, free=self._free, take=self._runs.take, say=say)
        self._intake = Intake(self._bus, free=self._free, take=self._runs.take, say=say)
        self._held_tasks = HeldTasks(
            self._bus,
            self._crew,
            client_id=self.client_id,
            cancel_grace_s=options.cancel_grace_s,
            changed=lambda: self._task_intake.pull(),  # noqa: PLW0108  # made below
            say=say,
        )
        self._task_intake = Intake(
            self._bus, free=self._free_for_tasks, take=self._held_tasks.take, say=say, kind=TaskHandOver
        )
        self._deployments = Deployments(self._bus, options, say)
        self._membership = Membership(
            self._bus,
            options,
            client_id=self.client_id,
            spawn=self._spawn,
            say=say,
            registered=self._deployments.declare,
        )
        await self._offers.start()
        await self._intake.start()
        await self._task_intake.start()
        self._bus.reconnected.append(self._reconnected)
        await self._bus.nc.subscribe(subjects.control(self.client_id), cb=self._controlled)
        await self._bus.nc.subscribe(subjects.control_pause(self.client_id), cb=self._told_to_pause)
        with contextlib.suppress(ValueError, AttributeError):  # not in the main thread, or no such signal
            signal.signal(signal.SIGCONT, lambda *_: self._check_pause())
        self._tick()
        await self._crew.start()

    def _slot_freed(self) -> None:
        self._offers.next()
        self._intake.pull()

    def _free(self) -> int:
        return 0 if self._draining else self.options.slots - self._runs.count

    def _free_for_tasks(self) -> int:
        """Places apart from those of runs: a run that waits for its task never stands in that task's way."""
        return 0 if self._draining else self.options.slots - self._held_tasks.count

    async def _end(self) -> None:
        self._draining = True
        await self._deployments.pause(self.client_id, self._membership.say_draining)
        self._intake.stop()
        self._offers.stop()
        self._task_intake.stop()
        self._membership.drain()
        self._crew.drain()
        if self._runs.count or self._held_tasks.count:
            more = f" (and tasks of other runs: {self._held_tasks.count})" if self._held_tasks.count else ""
            say(
                f"stopping: waits up to {self.options.drain_s:g} s for the runs that it holds: "
                f"{self._runs.count}{more}"
            )
            await self._wait_for_runs()
        if self._runs.count:
            say(f"runs left to other workers: {self._runs.count}")
        await self._crew.stop()
        await self._membership.leave()

    async def _wait_for_runs(self) -> None:
        empty = asyncio.gather(self._runs.wait_empty(), self._held_tasks.wait_empty())
        now = asyncio.ensure_future(self._now.wait())
        await asyncio.wait({empty, now}, timeout=self.options.drain_s, return_when=asyncio.FIRST_COMPLETED)
        empty.cancel()
        now.cancel()

    # -- executors

    def _child_ready(self, _: Child, frame: Ready) -> None:
        if not self._is_serving:
            for failure in frame.failures:
                say(f"{failure.target} is not served:\n{failure.error}")
            if not frame.flows and not frame.background:
                self._give_up("nothing to serve")
                return
            self._is_serving = True
            flows = self._know(map(self._deployments.with_deployments, frame.flows))
            self._background = Background(self._bus, frame.background, self._serve_more)
            self._spawn(self._serve(flows))
        self._runs.place()
        self._held_tasks.place()

    def _child_ended(self, child: Child, frame: Ended | Unwound | TaskEnded) -> None:
        if isinstance(frame, TaskEnded):
            self._held_tasks.ended(child, frame)
        elif isinstance(frame, Unwound):
            self._runs.unwound(child, frame)
        else:
            self._runs.ended(child, frame)

    def _child_died(self, child: Child) -> None:
        if not self._draining:
            self._runs.child_died(child)
            self._held_tasks.child_died(child)

    def _give_up(self, reason: str) -> None:
        say(reason)
        self._failed = True
        self.stop()

    async def _serve(self, flows: dict[str, RegisterFlow]) -> None:
        """Flows first, then presence, then be known: whoever hears of this client can have its flows run."""
        queue = self.options.queue
        await asyncio.gather(
            self._membership.register(flows),
            *(self._intake.serve(queue, flow_id) for flow_id in flows),
            *(self._task_intake.serve(queue, flow_id) for flow_id in flows),
        )
        self._membership.join()
        if self.options.served:
            await self._membership.is_present.wait()
            await self._deployments.review()
        await self._background.start()

    async def _serve_more(self, definition: RegisterFlow) -> None:
        """A flow that this worker could run all the time, and that somebody now has a run of."""
        flows = self._know([definition])
        await asyncio.gather(
            *(self._intake.serve(self.options.queue, flow_id) for flow_id in flows),
            *(self._task_intake.serve(self.options.queue, flow_id) for flow_id in flows),
        )
        await self._membership.add(flows)

    def _know(self, definitions: Iterable[RegisterFlow]) -> dict[str, RegisterFlow]:
        flows = {ids.flow_id(definition.name): definition for definition in definitions}
        for flow_id, definition in flows.items():
            self._runs.versions[flow_id] = definition.flow_version or None
        self.flows |= flows
        return flows

    # -- messages

    async def _controlled(self, msg: Msg) -> None:
        control = _decode_control(msg.data)
        if control.verb == "drain":
            self.stop()
        elif control.run_id is not None:
            self._runs.cancel(control.run_id)

    async def _told_to_pause(self, msg: Msg) -> None:
        pausing = _decode_pausing(msg.data)
        self._runs.pause(pausing.run_id, pausing.epoch)

    def _bus_error(self, text: str) -> None:
        """Once an outage, not once an attempt."""
        if self._away or not hasattr(self, "_bus"):
            return
        self._away = not self._bus.nc.is_connected
        say(f"NATS is away ({text}); runs go on as far as they can" if self._away else f"NATS: {text}")

    def _reconnected(self) -> None:
        if self._away:
            self._away = False
            say("NATS is back")
        self._membership.renew()
        if self._is_serving:
            self._spawn(self._background.review())
        self._spawn(self._runs.review())

    def _tick(self) -> None:
        self._check_pause()
        for child in self._crew.kill_stopped(self.options.lease_s):
            say(f"executor {child.number} was stopped for longer than the lease: it is started anew")
        asyncio.get_running_loop().call_later(self.options.presence_every_s, self._tick)

    def _check_pause(self) -> None:
        """Whoever stood still for longer than its lease has lost its runs: its executors must not go on with them.

        Called by the signal that ends a SIGSTOP, before anything else runs, and by a timer for every other pause. An
        outage of NATS is none: there the engine waits, too.
        """
        now = boot_time()
        paused, self._last_tick = now - self._last_tick, now
        if paused > self.options.presence_every_s + self.options.lease_s and not self._draining:
            self._crew.kill_all("the worker was suspended for longer than its lease")
            say(f"was suspended for {paused:.1f} s, longer than its lease: executors are started anew")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            say(f"unexpected: {type(error).__name__}: {error}")
            self._failed = True
            self.stop()


def run_worker(
    options: WorkerOptions, timeout_s: float | None = None, forked: list[ForkedExecutor] | None = None
) -> int:
    """Serve until SIGTERM or SIGINT, or until the time has passed. Returns the exit code. forked: the executors of a
    process that could fork them.
    """
    from perfect_sdk.connecting.io import new_event_loop

    async def main() -> int:
        supervisor = Supervisor(options, forked)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, supervisor.stop)
        if timeout_s is not None:
            loop.call_later(timeout_s, supervisor.stop)
        return await supervisor.run()

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main())
