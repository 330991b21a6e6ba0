"""The registry: which flows there are, which clients were lost, which SQL queries people keep."""

from perfect_registry.presence import Roll
from perfect_registry.query_replies import QueryReplies
from perfect_registry.replies import Replies
from perfect_runtime.definitions import Flows
from perfect_runtime.service import Context, Service


class RegistryService(Service):
    name = "registry"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.flows = Flows(context.bus)
        self.roll = Roll(context)
        self.replies = Replies(context, self.flows)
        self.query_replies = QueryReplies(context)

    async def start(self) -> None:
        await self.flows.start()
        await self.roll.start()
        await self.replies.start()
        await self.query_replies.start()

    async def stop(self) -> None:
        await self.query_replies.stop()
        await self.roll.stop()
        await self.flows.stop()

    def metrics(self) -> dict[str, float]:
        return {"flows": len(self.flows), "clients": len(self.roll.attendance.clients)}
