"""The query `perfect.qry.waiting`: why a run does not run. Collects what `waiting.reason` needs."""

from collections import Counter

import msgspec

from perfect_engine import waiting
from perfect_engine.limit_replies import LimitReplies
from perfect_engine.process import Process
from perfect_engine.run_replies import QUEUE
from perfect_engine.waiting import Around
from perfect_runtime.service import Context
from perfect_schemas import subjects
from perfect_schemas.commands import Reply
from perfect_schemas.folds.run import RunLife
from perfect_schemas.queries import RunDetail
from perfect_schemas.states import RunState

_detail = msgspec.json.Decoder(RunDetail).decode


class Reasons:
    def __init__(self, context: Context, process: Process, limits: LimitReplies) -> None:
        self._bus = context.bus
        self._process = process
        self._limits = limits

    async def start(self) -> None:
        await self._bus.answer(subjects.query("waiting"), self.waiting, queue=QUEUE)

    async def waiting(self, data: bytes) -> Reply:
        run = self._process.board.runs.get(_detail(data).run_id)
        life = run.state if run is not None else None
        sentence = waiting.reason(life, self._around(life)) if life is not None else ""
        return Reply.of(sentence, seq=run.seq if run is not None else None)

    def _around(self, life: RunLife) -> Around:
        process = self._process
        if life.state is RunState.RUNNING:
            asking = process.limits.waiting(run_id=life.id)
            return Around(slot=self._limits.sentence(asking[0].asker) if asking else "")
        if life.state is not RunState.PENDING:
            return Around()
        board, lane = process.board, (life.queue, life.flow_id)
        workers = process.dispatch.workers()
        taken: Counter[str] = Counter()
        for worker in workers:
            if worker.serves(lane):
                lives = [board.runs[run_id].state for run_id in board.held.get(worker.client_id, ())]
                taken.update(one.flow_name for one in lives if one is not None and one.origin != "child")
        return Around(
            workers=workers,
            is_handed=life.id in board.handed,
            taken=taken,
            flow_limit=process.limits.of_flow(life.flow_name),
            running=sorted(board.running.get(life.flow_id, ())),
            handed=board.handed_of(life.flow_id),
            is_deployment_full=(room := process.dispatch.room()) is not None and room.is_full(life.id),
        )
