"""What the projector alone can say of many runs together: flow cards, statistics, the summary. Asked when they change."""

from perfect_gateway.ask import Asker
from perfect_gateway.facts import FlowBook
from perfect_gateway.live import fragments
from perfect_gateway.live.chores import Chores
from perfect_gateway.live.outlet import Outlet
from perfect_gateway.live.pace import Pacer
from perfect_schemas import codec, queries
from perfect_schemas.errors import NotFound
from perfect_schemas.events import FlowRegistered, FlowRemoved
from perfect_schemas.views import FlowView, SummaryView

FLOW_S = 1.0
SUMMARY_S = 1.0
SUMMARY_WITHIN_S = 0.5


class Overview:
    """`draw` is what the pacer calls for its keys: `("flow", id)`, `("facts", id)` and `("summary",)`."""

    def __init__(self, asker: Asker, flows: FlowBook, outlet: Outlet, pacer: Pacer, chores: Chores) -> None:
        self._asker = asker
        self._flows = flows
        self._outlet = outlet
        self._pacer = pacer
        self._chores = chores
        self._versions: dict[str, str] = {}

    def defined(self, kind: str, data: bytes) -> None:
        """Something was said on DEFS."""
        if kind == "client":
            self.run_moved()
            return
        event = codec.decode(data) if kind == "flow" else None
        if isinstance(event, FlowRegistered | FlowRemoved):
            self._flows.changed(event.flow_id)
            if self._is_shown(event.flow_id):
                if isinstance(event, FlowRegistered):
                    self._versions[event.flow_id] = event.flow_version
                self._pacer.ask(("flow", event.flow_id), FLOW_S)

    def run_ended(self, flow_id: str, seq: int) -> None:
        """The flow's statistics and last runs are other ones now."""
        self._flows.changed(flow_id)
        self._pacer.ask(("facts", flow_id), FLOW_S)
        if self._is_shown(flow_id):
            self._outlet.pending.setdefault(("flow", flow_id), seq)
            self._pacer.ask(("flow", flow_id), FLOW_S)

    def run_moved(self) -> None:
        if self._outlet.audience.has("runs"):
            self._pacer.ask(("summary",), SUMMARY_S)

    def draw(self, kind: str, flow_id: str = "") -> None:
        if kind == "flow":
            self._chores.begin((kind, flow_id), self._draw_flow(flow_id))
        elif kind == "facts":
            self._chores.begin((kind, flow_id), self._ask_facts(flow_id))
        else:
            self._chores.begin((kind,), self._draw_summary())

    def _is_shown(self, flow_id: str) -> bool:
        return self._outlet.audience.has("flows") or self._outlet.audience.has(f"flow:{flow_id}")

    async def _ask_facts(self, flow_id: str) -> None:
        await self._flows.facts(flow_id)

    async def _draw_flow(self, flow_id: str) -> None:
        pending = self._outlet.pending
        seq = self._outlet.heard.events
        held = ("drawing flow", flow_id)  # what changes meanwhile holds the position for itself
        if (first := pending.pop(("flow", flow_id), None)) is not None:
            pending[held] = first
        version = self._versions.pop(flow_id, None)

        def fits(flow: FlowView, as_of: int) -> bool:
            return as_of >= seq and version in (None, flow.version)

        try:
            if not self._is_shown(flow_id):
                return
            flow = await self._asker.value_when("flow", queries.FlowDetail(flow=flow_id), FlowView, fits)
            self._flows.changed(flow_id)
            await self._flows.facts(flow_id)
        except NotFound:
            return
        finally:
            pending.pop(held, None)
        if not flow.hidden:
            self._outlet.send("flows", fragments.flow_card(flow))
            self._outlet.send(f"flow:{flow_id}", fragments.flow_statistics(flow))

    async def _draw_summary(self) -> None:
        if not self._outlet.audience.has("runs"):
            return
        seq = self._outlet.heard.events
        view = await self._asker.value_when(
            "summary",
            queries.Summary(),
            SummaryView,
            lambda _, as_of: as_of >= seq,
            within_s=SUMMARY_WITHIN_S,
        )
        self._outlet.send("runs", fragments.summary(view))
