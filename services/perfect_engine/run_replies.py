"""Commands about one run: `perfect.cmd.engine.{cancel, pause, resume, retry, fork}`."""

import msgspec

from perfect_engine.invalid import TEXT_LENGTH, of_message
from perfect_engine.steering import Steering
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import CancelRun, Done, ForkRun, PauseRun, Reply, ResumeRun, RetryRun, Triggered
from perfect_schemas.errors import NotFound

QUEUE = "engine"
DONE = Reply.of(Done())
_cancel = msgspec.json.Decoder(CancelRun).decode
_pause = msgspec.json.Decoder(PauseRun).decode
_resume = msgspec.json.Decoder(ResumeRun).decode
_retry = msgspec.json.Decoder(RetryRun).decode
_fork = msgspec.json.Decoder(ForkRun).decode


class RunReplies:
    def __init__(self, context: Context, steering: Steering) -> None:
        self._bus = context.bus
        self._steering = steering

    async def start(self) -> None:
        for verb, answer in (
            ("cancel", self.cancel),
            ("pause", self.pause),
            ("resume", self.resume),
            ("retry", self.retry),
            ("fork", self.fork),
        ):
            await self._bus.answer(subjects.command("engine", verb), answer, queue=QUEUE)

    async def cancel(self, data: bytes) -> Reply:
        command = _cancel(data)
        check_run(command.run_id)
        await self._steering.cancel(command.run_id, command.by)
        return DONE

    async def pause(self, data: bytes) -> Reply:
        command = _pause(data)
        check_run(command.run_id)
        await self._steering.pause(command.run_id, command.by)
        return DONE

    async def resume(self, data: bytes) -> Reply:
        with of_message("the run cannot be resumed"):
            command = _resume(data)
        check_run(command.run_id)
        await self._steering.resume(command)
        return DONE

    async def retry(self, data: bytes) -> Reply:
        with of_message("the run cannot be retried"):
            command = _retry(data)
        check_run(command.run_id)
        await self._steering.retry(command)
        return DONE

    async def fork(self, data: bytes) -> Reply:
        with of_message("the run cannot be forked"):
            command = _fork(data)
        check_run(command.origin_run_id)
        run = await self._steering.fork(command)
        life = run.state
        assert life is not None
        triggered = Triggered(
            run_id=life.id,
            flow_id=life.flow_id,
            flow_name=life.flow_name,
            flow_version=life.flow_version or "",
            state=life.state.value,
            created_at=life.created_at,
        )
        return Reply.of(triggered, seq=run.seq)


def check_run(run_id: str) -> None:
    """Raises NotFound for what cannot be a run's id."""
    if not ids.is_id(run_id):
        raise NotFound(f"there is no run {run_id[:TEXT_LENGTH]!r}")
