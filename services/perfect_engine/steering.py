"""What a person does to a run: cancel, pause, resume, retry, fork. Each answers once its event is stored."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perfect_bus.append import check_size
from perfect_engine import fork, revival
from perfect_engine import run as rules
from perfect_engine.inputs import check_input, given_input
from perfect_engine.parameters import Checker
from perfect_engine.run import Stamp
from perfect_runtime.decider import Aggregate, handle, read
from perfect_runtime.definitions import Flows
from perfect_schemas import ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import ForkRun, ResumeRun, RetryRun
from perfect_schemas.envelope import Event
from perfect_schemas.errors import Conflicting, FieldError, InvalidInput, NotFound
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife

if TYPE_CHECKING:
    from perfect_engine.process import Process

Decide = Callable[[RunLife | None], Sequence[Event]]


class Steering:
    def __init__(self, process: "Process", flows: Flows, checker: Checker) -> None:
        self._process = process
        self._bus = process.bus
        self._flows = flows
        self._checker = checker

    async def cancel(self, run_id: str, by: str) -> None:
        """Raises NotFound, Conflicting."""
        run = await self._run(run_id)
        await handle(self._bus, run, lambda life: rules.cancel(life, by, self._process.stamp()))
        await self._process.tell_cancelled(run.state)

    async def pause(self, run_id: str, by: str) -> None:
        """Raises NotFound, Conflicting."""
        run = await self._run(run_id)
        await handle(self._bus, run, lambda life: rules.pause(life, by, self._process.stamp()))
        await self._process.tell_pausing(run.state)

    async def resume(self, command: ResumeRun) -> None:
        """Raises NotFound, Conflicting, InvalidInput, TooLarge."""
        stamp = self._stamp(command.event_id)

        def decide(life: RunLife | None) -> Sequence[Event]:
            wait = revival.input_wait(life, command.key)
            assert life is not None
            given = given_input(wait.input_schema, command.input)
            check_input(wait.input_schema, given)
            events = revival.resume(life, given, stamp, wait.key)
            check_size(subjects.run(life.id), encode(events[0]))
            return events

        await self._once(command.run_id, command.event_id, decide)

    async def retry(self, command: RetryRun) -> None:
        """Raises NotFound, Conflicting, InvalidInput."""
        stamp = self._stamp(command.event_id)
        life = (await self._run(command.run_id)).state
        is_archived = life is not None and life.archived
        if is_archived or command.from_key is not None:
            history = await self._process.past.history(command.run_id)
            revival.check_key(history, command.from_key)
            if is_archived:
                revival.retry(history.run, command.by, command.from_key, stamp)
                await self._process.past.bring_back(command.run_id, history)
        await self._once(
            command.run_id,
            command.event_id,
            lambda life: revival.retry(life, command.by, command.from_key, stamp),
        )

    async def fork(self, command: ForkRun) -> Aggregate[RunLife]:
        """The new run. Raises NotFound, InvalidInput, Conflicting, TooLarge."""
        if not ids.is_id(command.run_id):
            message = "must be a UUID in the dashed lower-case form"
            raise InvalidInput(f"run_id {message}", [FieldError("run_id", message)])
        history = await self._process.past.history(command.origin_run_id)
        origin = history.run
        if origin is None:
            raise NotFound(f"there is no run {command.origin_run_id}")
        if origin.origin == "child":
            raise Conflicting(
                f"run {origin.id} was called by run {origin.parent_run_id} in its own process: fork that one"
            )
        revival.check_key(history, command.from_key)
        flow = await self._flows.find(origin.flow_id)
        if flow is not None and command.parameters:
            self._checker.check(flow, fork.parameters_of(origin, command))
        version = flow.version if flow is not None else origin.flow_version
        stamp = self._process.stamp()
        [event] = fork.schedule(None, origin, command, version, stamp)
        check_size(subjects.run(command.run_id), encode(event))
        run = self._process.board.run(command.run_id)
        await handle(self._bus, run, lambda life: fork.schedule(life, origin, command, version, stamp))
        return run

    async def _run(self, run_id: str) -> Aggregate[RunLife]:
        """On the board, or as read: it has ended, or is too new to have been heard of."""
        run: Aggregate[RunLife] = self._process.board.run(run_id)
        if run.state is None:
            run = await read(self._bus, Aggregate(run.subject, fold.evolve))
        if run.state is None and self._process.past.may_be_gone(run_id):
            run.state = (await self._process.past.history(run_id)).run
        return run

    async def _once(self, run_id: str, event_id: str | None, decide: Decide) -> None:
        """What is refused because the same command was carried out before is carried out."""
        try:
            await handle(self._bus, await self._run(run_id), decide)
        except (Conflicting, InvalidInput):
            if event_id is None:
                raise
            stored = await self._bus.read(subjects.run(run_id))
            if all(event.id != event_id for _, event in stored):
                raise

    def _stamp(self, event_id: str | None) -> Stamp:
        stamp = self._process.stamp()
        return stamp if event_id is None else Stamp(now=stamp.now, event_id=event_id)
