"""Schedules on the screens: their rows, their own pages, and those of their flows, drawn again when DEFS says something of
them.
"""

from urllib.parse import parse_qsl, urlencode

import perfect_ui
from perfect_gateway import schedules
from perfect_gateway.ask import Asker
from perfect_gateway.live.chores import Chores
from perfect_gateway.live.outlet import Outlet
from perfect_gateway.live.pace import Pacer
from perfect_schemas import codec, queries
from perfect_schemas.errors import NotFound
from perfect_schemas.events import ScheduleEvent
from perfect_schemas.schedule_decision import ScheduleDecisionView, decision_of

SCHEDULE_S = 0.5
COMING = 20  # instants that the page of a schedule shows
DECIDED = 50  # decisions
MOST_DRAWN = 200  # decisions a message


async def flow_schedules(asker: Asker, flow_id: str) -> str:
    found = [schedules.shape(one) for one in await schedules.all_shown(asker, flow_id)]
    return perfect_ui.render("parts/flow_schedules.html", flow_id=flow_id, schedules=found)


def topic(after: str | None) -> str:
    """Of the page of the list that comes after there."""
    return f"schedules?{urlencode({'after': after})}" if after else "schedules"


async def table(asker: Asker, query: str) -> str:
    """The page of the list whose topic has that query."""
    page = schedules.paged(await schedules.all_shown(asker), dict(parse_qsl(query)).get("after"))
    found = [schedules.shape(one) for one in page.schedules]
    return perfect_ui.render("parts/schedules_table.html", schedules=found, following=page.following)


async def whole(asker: Asker, schedule_id: str) -> str:
    """All that its page shows of it and can change."""
    try:
        one = schedules.shape(await schedules.one_shown(asker, schedule_id))
        coming = schedules.shapes_of(await schedules.coming(asker, schedule_id, COMING))
    except NotFound:
        return perfect_ui.render("parts/schedule_gone.html", id=schedule_id)
    page = queries.ScheduleDecisionPage(schedule_id=schedule_id, limit=DECIDED)
    decided = schedules.shapes_of((await schedules.decisions(asker, page)).decisions)
    return (
        perfect_ui.render("parts/schedule_header.html", schedule=one)
        + perfect_ui.render("parts/schedule_coming.html", schedule=one, coming=coming)
        + "".join(
            perfect_ui.render("parts/schedule_decision.html", decision=each) for each in reversed(decided)
        )
    )


class Schedules:
    """`draw` is what the pacer calls for its keys, `("schedule", id)`."""

    def __init__(self, asker: Asker, outlet: Outlet, pacer: Pacer, chores: Chores) -> None:
        self._asker = asker
        self._outlet = outlet
        self._pacer = pacer
        self._chores = chores
        self._heard: dict[str, list[ScheduleDecisionView]] = {}  # what was decided and is not drawn

    def heard(self, data: bytes) -> None:
        """Something was said of a schedule on DEFS."""
        audience = self._outlet.audience
        event = codec.decode(data)
        if not isinstance(event, ScheduleEvent):
            return
        schedule_id = event.schedule_id
        if not (audience.has("schedules") or audience.has(f"schedule:{schedule_id}") or audience.any_flow):
            return
        decided = self._heard.setdefault(schedule_id, [])
        if (decision := decision_of(event)) is not None:
            decided.append(decision)
            del decided[:-MOST_DRAWN]
        self._pacer.ask(("schedule", schedule_id), SCHEDULE_S)

    def draw(self, schedule_id: str) -> None:
        self._chores.begin(("schedule", schedule_id), self._draw(schedule_id))

    async def _draw(self, schedule_id: str) -> None:
        decided = self._heard.pop(schedule_id, [])
        send, has = self._outlet.send, self._outlet.audience.has
        lists = self._outlet.audience.parts("schedules")
        try:
            found = await schedules.one_shown(self._asker, schedule_id, decided[-1] if decided else None)
        except NotFound:
            for one in lists:
                send(one, perfect_ui.render("parts/schedule_row_gone.html", id=schedule_id))
            send(f"schedule:{schedule_id}", perfect_ui.render("parts/schedule_gone.html", id=schedule_id))
            for flow_id in self._outlet.audience.flows():
                send(f"flow:{flow_id}", await flow_schedules(self._asker, flow_id))
            return
        shape = schedules.shape(found)
        if lists:
            row = perfect_ui.render("parts/schedule_row.html", schedule=shape)
            for one in lists:
                send(one, row)
        if has(f"flow:{found.flow_id}"):
            send(f"flow:{found.flow_id}", await flow_schedules(self._asker, found.flow_id))
        if has(f"schedule:{schedule_id}"):
            coming = await schedules.coming(self._asker, schedule_id, COMING)
            html = perfect_ui.render("parts/schedule_header.html", schedule=shape)
            html += perfect_ui.render(
                "parts/schedule_coming.html", schedule=shape, coming=schedules.shapes_of(coming)
            )
            for one in schedules.shapes_of(decided):
                html += perfect_ui.render("parts/schedule_decision.html", decision=one)
            send(f"schedule:{schedule_id}", html)
