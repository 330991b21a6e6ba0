"""What runs owe each other: children end with whoever called them, and wake whoever waits for them."""

from typing import TYPE_CHECKING

from perfect_engine import revival
from perfect_engine import run as rules
from perfect_engine.board import Run
from perfect_runtime.decider import Aggregate, read
from perfect_schemas import subjects
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

if TYPE_CHECKING:
    from perfect_engine.process import Process


class Family:
    def __init__(self, process: "Process") -> None:
        self._process = process
        self._board = process.board

    def ended(self, run_id: str, life: RunLife) -> None:
        """The run is final."""
        self.end_children(run_id, life)
        for parent_id in list(self._board.awaiting.get(run_id, ())):
            self._wake(self._board.run(parent_id), run_id)

    def end_children(self, run_id: str, life: RunLife) -> None:
        """life: of the run, which is final or being cancelled."""
        for child_id in list(self._board.children.get(run_id, ())):
            self._process.spawn(lambda child_id=child_id: self._end(child_id, life), "end child")

    def waits_for_child(self, run: Run, child_id: str) -> None:
        """The run is paused until the child has ended, which it may have done already; a child within its own process
        until the child may go on.
        """
        child = self._board.runs.get(child_id)
        if child is not None and child.state is not None:
            self.may_go_on(child_id, child.state)
        else:
            self._process.spawn(lambda: self._look(run, child_id), "look for a child run")

    def may_go_on(self, run_id: str, life: RunLife) -> None:
        """Called after each resumption: a child run goes on within the run that called it, so that one is woken."""
        if life.origin == "child" and life.state is RunState.PENDING:
            for parent_id in list(self._board.awaiting.get(run_id, ())):
                self._wake(self._board.run(parent_id), run_id)

    def check_orphan(self, run: Run) -> None:
        """At the start: a child whose parent may have ended while no engine was there."""
        life = run.state
        parent_id = life.parent_run_id if life is not None else None
        if parent_id is None:
            return
        parent = self._board.runs.get(parent_id)
        if parent is None or parent.state is None:
            self._process.spawn(lambda: self._check_orphan(run, parent_id), "check for orphan")
        elif parent.state.state in rules.CANCELS:
            self.end_children(parent_id, parent.state)

    async def life_of(self, run_id: str) -> RunLife | None:
        """As the stream has it now."""
        return (await read(self._process.bus, Aggregate(subjects.run(run_id), fold.evolve))).state

    async def _end(self, child_id: str, parent: RunLife) -> None:
        child = self._board.run(child_id)
        decide, stamp = self._process.decide, self._process.stamp
        await decide(child, lambda life: rules.end_child(life, parent, stamp()))
        life = child.state
        if life is not None and life.origin == "child":  # nobody is there to end what is being cancelled
            await decide(child, lambda life: rules.end_child(life, parent, stamp()))
        else:
            await self._process.tell_cancelled(life)

    async def _look(self, run: Run, child_id: str) -> None:
        life = await self.life_of(child_id)
        if life is None or life.state.is_final:
            self._wake(run, child_id)

    async def _check_orphan(self, run: Run, parent_id: str) -> None:
        ended = await self.life_of(parent_id)
        if ended is not None and ended.state.is_final:
            await self._end(run.id, ended)

    def _wake(self, run: Run, child_id: str) -> None:
        stamp = self._process.stamp
        self._process.decide_soon(
            run, lambda life: revival.child_over(life, child_id, stamp()), "wake parent"
        )
