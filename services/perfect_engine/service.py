"""The engine: decides what happens to runs, and when."""

import asyncio

from perfect_engine.deployment_room import room
from perfect_engine.limit_replies import LimitReplies
from perfect_engine.parameters import Checker
from perfect_engine.process import Process
from perfect_engine.reasons import Reasons
from perfect_engine.replies import Replies
from perfect_engine.run_replies import RunReplies
from perfect_engine.schedules_clock import Schedules
from perfect_engine.schedules_replies import ScheduleReplies
from perfect_engine.schedules_runs import ScheduledRuns
from perfect_engine.steering import Steering
from perfect_runtime.definitions import Flows
from perfect_runtime.service import Context, Service
from perfect_schemas.folds.flow import Flow

PREPARE_S = 0.5


class EngineService(Service):
    name = "engine"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._checker = Checker()
        self.flows = Flows(context.bus, changed=self._flow_changed)
        self.process = Process(context)
        self.process.dispatch.room = lambda: room(self.process.board, self.flows.all())
        runs = ScheduledRuns(self.process, self.flows, self._checker)
        self.schedules = Schedules(context, self.process, runs)
        limits = LimitReplies(context, self.process)
        self.replies = (
            Replies(context, self.flows, self.process, self._checker),
            RunReplies(context, Steering(self.process, self.flows, self._checker)),
            limits,
            Reasons(context, self.process, limits),
            ScheduleReplies(context, self.process, self.schedules, runs),
        )

    async def start(self) -> None:
        await self.flows.start()
        await self.process.start()
        await self.schedules.start()
        for replies in self.replies:
            await replies.start()

    async def stop(self) -> None:
        await self.schedules.stop()
        await self.process.stop()
        await self.flows.stop()

    def lag(self) -> tuple[int, int]:
        return self.process.pending, 0

    def metrics(self) -> dict[str, float]:
        board = self.process.board
        return {
            "live_runs": len(board.runs),
            "pending_runs": sum(map(len, board.pending.values())),
            "handed_over_runs": len(board.handed),
            "schedules": len(self.schedules),
            "workers": len(self.process.dispatch.workers()),
        }

    def _flow_changed(self, flow: Flow) -> None:
        """Compile its validator in a quiet moment: the first trigger does not wait for it. A deployment's limit may have
        changed: then more of its runs may go.
        """
        self.process.dispatch.soon()
        if flow.parameters and not flow.hidden:
            asyncio.get_running_loop().call_later(PREPARE_S, self._checker.prepare, flow)
