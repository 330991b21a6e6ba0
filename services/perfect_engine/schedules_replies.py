"""`perfect.cmd.engine.backfill_schedule` and the query `schedule_preview`."""

import asyncio
from datetime import datetime

import msgspec

from perfect_engine import schedules
from perfect_engine.invalid import of_message
from perfect_engine.process import Process
from perfect_engine.run_replies import QUEUE
from perfect_engine.schedules_clock import Schedules
from perfect_engine.schedules_runs import ScheduledRuns
from perfect_runtime import occurrence
from perfect_runtime.decider import handle, read
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import Backfilled, BackfilledInstant, BackfillSchedule, Reply
from perfect_schemas.errors import FieldError, InvalidInput, NotFound, refuse
from perfect_schemas.folds.schedule import Schedule
from perfect_schemas.queries import SchedulePreview

STREAM = "DEFS"
MAX_PREVIEW = 1000
ANSWER_KEPT_S = 12.0  # longer than anybody repeats a command
REFUSED = "the schedule cannot be backfilled"
NOT_SHOWN = "the schedule cannot be previewed"
NO_ZONE = "needs a time zone, as in 2026-05-01T12:00:00Z or 2026-05-01T12:00:00+02:00"
_backfill = msgspec.json.Decoder(BackfillSchedule).decode
_preview = msgspec.json.Decoder(SchedulePreview).decode


class ScheduleReplies:
    def __init__(self, context: Context, process: Process, known: Schedules, runs: ScheduledRuns) -> None:
        self._context = context
        self._bus = context.bus
        self._process = process
        self._schedules = known
        self._runs = runs
        self._answers: dict[bytes, asyncio.Task[Reply]] = {}

    async def start(self) -> None:
        await self._bus.answer(subjects.command("engine", "backfill_schedule"), self.backfill, queue=QUEUE)
        await self._bus.answer(subjects.query("schedule_preview"), self.preview, queue=QUEUE)

    async def preview(self, data: bytes) -> Reply:
        with of_message(NOT_SHOWN):
            query = _preview(data)
        errors = []
        if not 1 <= query.count <= MAX_PREVIEW:
            errors.append(FieldError("count", f"must be 1 to {MAX_PREVIEW:,}"))
        if query.after is not None and query.after.tzinfo is None:
            errors.append(FieldError("after", NO_ZONE))
        if (query.spec is None) == (query.schedule_id is None):
            errors.append(FieldError("spec", "either this or schedule_id must be given"))
        refuse(NOT_SHOWN, errors)
        spec = query.spec
        if spec is None:
            spec = (await self._find(query.schedule_id or "")).spec
        else:
            occurrence.check(spec, "spec.")
        after = query.after or self._context.clock()
        return Reply.of(occurrence.preview(spec, query.schedule_id or "", after, query.count))

    async def backfill(self, data: bytes) -> Reply:
        """A repeat waits for the first, or hears the same answer."""
        with of_message(REFUSED):
            command = _backfill(data)
        if command.dry_run:
            return await self._backfill(command)
        task = self._answers.get(data)
        if task is None:
            task = self._answers[data] = asyncio.create_task(self._backfill(command))
            loop = asyncio.get_running_loop()
            task.add_done_callback(lambda _: loop.call_later(ANSWER_KEPT_S, self._answers.pop, data, None))
        return await asyncio.shield(task)

    async def _backfill(self, command: BackfillSchedule) -> Reply:
        since, until = _range(command)
        schedule = await self._find(command.schedule_id)
        due = schedules.instants_between(schedule, since, until)
        if due and (refusal := await self._runs.refusal(schedule)):
            raise InvalidInput(f"{REFUSED}: its runs would be refused: {refusal}")
        run_ids = [ids.scheduled_run_id(schedule.id, at) for at, _ in due]
        known = await self._runs.existing(run_ids)
        if not command.dry_run:
            kept = self._schedules.fold(schedule.id)
            for run_id, one in zip(run_ids, due, strict=True):
                if run_id in known:
                    continue
                fired = schedules.backfilled(schedule, one, command.by, self._process.stamp())
                await self._runs.start(schedule, fired)
                await handle(self._bus, kept, lambda now, said=fired: (said,) if now is not None else ())
        return Reply.of(
            Backfilled(
                schedule_id=schedule.id,
                instants=[
                    BackfilledInstant(at_instant=at, run_id=run_id, new=run_id not in known)
                    for run_id, (at, _) in zip(run_ids, due, strict=True)
                ],
                started=len(run_ids) - len(known),
                dry_run=command.dry_run,
            )
        )

    async def _find(self, schedule_id: str) -> Schedule:
        """As the stream has it now. Raises NotFound."""
        if not ids.is_id(schedule_id):
            raise NotFound(f"there is no schedule {schedule_id[:200]!r}")
        schedule = self._schedules.get(schedule_id)
        if schedule is None or schedule.removed:
            schedule = (await read(self._bus, self._schedules.fold(schedule_id), stream=STREAM)).state
        if schedule is None or schedule.removed:
            raise NotFound(f"there is no schedule {schedule_id}")
        return schedule


def _range(command: BackfillSchedule) -> tuple[datetime, datetime]:
    """Raises InvalidInput."""
    errors = [
        FieldError(name, NO_ZONE)
        for name, at in (("since", command.since), ("until", command.until))
        if at.tzinfo is None
    ]
    if not errors and command.until <= command.since:
        errors.append(FieldError("until", "must be after since"))
    refuse(REFUSED, errors)
    return command.since, command.until
