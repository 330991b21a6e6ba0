"""The result of a task that runs in the background, now or later, from wherever one asks for it."""

import asyncio
import threading
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.run import RunLife
from perfect_sdk import results
from perfect_sdk.calling.task_result import returns_of
from perfect_sdk.connecting.system import System, is_async_code
from perfect_sdk.context import Frame, current
from perfect_sdk.encoding import failures
from perfect_sdk.exceptions import MissingResult
from perfect_sdk.running.effects import drive, drive_async
from perfect_sdk.states import State, StateType
from perfect_sdk.waiting import waits

if TYPE_CHECKING:
    from perfect_sdk.task import Task

R = TypeVar("R")


class PerfectDistributedFuture(Generic[R]):
    """flow_run_id: of the run that the task has to itself. task: for what its annotation makes of the result.

    In async code it is awaited. A flow that waits for it holds no place on its worker, as for any other run; in an
    async flow only where it awaits.
    """

    def __init__(self, flow_run_id: str, task: "Task[..., R]") -> None:
        self.flow_run_id = flow_run_id
        self._task = task
        self._ended: RunLife | None = None
        self._state: State[R] | None = None

    def __repr__(self) -> str:
        return f"<future of {self._task.name!r} in run {self.flow_run_id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PerfectDistributedFuture) and other.flow_run_id == self.flow_run_id

    def __hash__(self) -> int:
        return hash(self.flow_run_id)

    @property
    def task_run_id(self) -> str:
        from perfect_sdk.background.background_flow import task_run_id

        return task_run_id(self.flow_run_id, self._task.name)

    @property
    def state(self) -> State[R]:
        """As it is now; asks for it unless it has ended."""
        life = self._ended
        if life is None:
            life = _system().life(self.flow_run_id).result()
            self._heard(life)
        return self._final(life) if life.state.is_final else State(StateType(life.state.value))

    def done(self) -> bool:
        return self.state.is_final()

    def wait(self, timeout: float | None = None) -> None:
        """Until it has ended, or `timeout` seconds have passed."""
        if self._ended is not None:
            return
        frame = _recorded()
        if frame is not None and not is_async_code(frame):
            wake_at = None if timeout is None else utc_now() + timedelta(seconds=timeout)
            self._heard(drive(waits.until_final(frame, self.flow_run_id, wake_at)))
            return
        system = _system()
        self._heard(system.life(self.flow_run_id).result())
        if self._ended is None:
            following = system.until_final(self.flow_run_id)
            try:
                self._heard(following.result(timeout))
            except TimeoutError:
                following.cancel()

    async def wait_async(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  as its twin
        if self._ended is not None:
            return
        frame = _recorded()
        if frame is None:
            await asyncio.to_thread(self.wait, timeout)
            return
        wake_at = None if timeout is None else utc_now() + timedelta(seconds=timeout)
        self._heard(await drive_async(waits.until_final(frame, self.flow_run_id, wake_at)))

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """What the task returned. Raises what it raised (or returns it), TimeoutError after `timeout` seconds,
        MissingResult when the result could not be kept.
        """
        self.wait(timeout)
        return self._result(timeout, raise_on_failure)

    async def result_async(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  as its twin
        raise_on_failure: bool = True,
    ) -> R:
        await self.wait_async(timeout)
        return await asyncio.to_thread(self._result, timeout, raise_on_failure)

    def __await__(self) -> Generator[Any, None, R]:
        return self.result_async().__await__()

    def add_done_callback(self, fn: "Callable[[PerfectDistributedFuture[R]], Any]") -> None:
        """Called in a thread of its own, once it has ended."""

        def call() -> None:
            self.wait()
            fn(self)

        threading.Thread(target=call, name="perfect-delayed", daemon=True).start()

    def _heard(self, life: RunLife | None) -> None:
        if life is None:
            raise self._gone()
        if life.state.is_final:
            self._ended = life

    def _gone(self) -> NotFound:
        return NotFound(
            f"run {self.flow_run_id} is not on the bus: it ended long ago (`perfect runs show {self.flow_run_id}` "
            "says how), or there never was one of this id"
        )

    def _result(self, timeout: float | None, raise_on_failure: bool) -> R:
        if self._ended is None:
            raise TimeoutError(
                f"task {self._task.name!r} in run {self.flow_run_id} was not done after {timeout or 0:g} s"
            )
        return self._final(self._ended).result(raise_on_failure)

    def _final(self, life: RunLife) -> State[R]:
        if self._state is None:
            kind = StateType(life.state.value)
            message = life.error.message if life.error is not None else life.reason
            data = self._value(life) if kind is StateType.COMPLETED else None
            if life.error is not None:
                data = failures.restore(life.error)
            self._state = State(kind, message=message, data=data)
        return self._state

    def _value(self, life: RunLife) -> Any:
        if life.result is None:
            raise MissingResult(
                f"run {self.flow_run_id} has completed, but what the task returned could not be kept: its log says why"
            )
        return results.decode_result(life.result, returns_of(self._task.fn), _system().load)


def _recorded() -> Frame | None:
    frame = current.get()
    return frame if frame is not None and frame.session.journal.is_recorded else None


def _system() -> Any:
    frame = _recorded()
    return frame.session.journal if frame is not None else System.of_process()


PrefectDistributedFuture = PerfectDistributedFuture
