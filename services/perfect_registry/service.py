"""The registry: which flows there are and when they run by themselves, which clients were lost, which SQL queries,
variables and secrets people keep.
"""

from perfect_registry.presence import Roll
from perfect_registry.query_replies import QueryReplies
from perfect_registry.replies import Replies
from perfect_registry.schedules_replies import ScheduleReplies
from perfect_registry.secret_replies import SecretReplies
from perfect_registry.variable_replies import VariableReplies
from perfect_runtime.definitions import Flows
from perfect_runtime.service import Context, Service


class RegistryService(Service):
    name = "registry"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.flows = Flows(context.bus)
        self.roll = Roll(context)
        self.schedule_replies = ScheduleReplies(context, self.flows)
        self._parts = (
            self.flows,
            self.roll,
            self.schedule_replies,
            Replies(context, self.flows, self.schedule_replies),
            QueryReplies(context),
            VariableReplies(context),
            SecretReplies(context),
        )

    async def start(self) -> None:
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        for part in reversed(self._parts):
            await part.stop()

    def metrics(self) -> dict[str, float]:
        return {
            "flows": len(self.flows),
            "schedules": len(self.schedule_replies),
            "clients": len(self.roll.attendance.clients),
        }
