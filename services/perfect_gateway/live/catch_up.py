"""What a page missed between the position that it stands at and now, read from the streams.

The streams are the memory: the gateway keeps none of its own, so a page may come back after hours, or to a gateway that
has just started. What cannot be told from the streams any more, or is more than a page is worth, is `LOST`: the
page is told to load itself again.
"""

from datetime import UTC, datetime, timedelta

import perfect_ui
from perfect_bus import Bus
from perfect_bus.purging import missing
from perfect_gateway.ask import Asker
from perfect_gateway.facts import FlowBook
from perfect_gateway.live import fragments, schedules
from perfect_gateway.live.board import Board
from perfect_gateway.live.log_tail import decode, log_messages
from perfect_gateway.live.position import Position
from perfect_gateway.live.topics import part
from perfect_gateway.log_filter import LogFilter
from perfect_gateway.reasons import explain
from perfect_schemas import codec, queries, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.views import FlowView

MOST_EVENTS = 2000
MOST_RUNS = 100
MOST_BATCHES = 2000
MOST_FLOWS = 200
MARGIN = timedelta(seconds=60)


class Lost(Exception):
    """The page has to be loaded again."""


class CatchUp:
    def __init__(self, bus: Bus, asker: Asker, flows: FlowBook, board: Board) -> None:
        self._bus = bus
        self._asker = asker
        self._flows = flows
        self._board = board

    async def frames(self, topics: frozenset[str], since: Position, until: Position) -> list[bytes]:
        """Messages that bring a page from `since` to `until`. Raises Lost, BusUnavailable."""
        html: list[str] = []
        overview = {topic for topic in topics if topic in ("runs", "flows") or topic.startswith("flow:")}
        if since.events > until.events:
            raise Lost
        if overview and since.events < until.events:
            html += await self._overview(overview, since.events, until.events)
        if "flows" in topics:
            html += await self._flow_cards(since.events)
        for topic in topics:
            kind, _, name = topic.partition(":")
            if kind in ("run", "tasks", "timeline"):
                html += await self._run(kind, name, since.events, until.events)
            elif part(topic)[0] == "schedules":
                # DEFS speaks of them, not EVENTS: this is how they are, whatever was said
                html.append(await schedules.table(self._asker, part(topic)[1]))
            elif kind == "schedule":
                html.append(await schedules.whole(self._asker, name))
            elif kind == "flow":
                html.append(await schedules.flow_schedules(self._asker, name))
        frames = [perfect_ui.frame(one, id=str(since)) for one in html]
        if html:
            frames[-1] = perfect_ui.frame(html[-1], id=str(Position(until.events, since.logs)))
        logs = [topic for topic in topics if topic.startswith("logs:")]
        for topic in logs:
            messages = await self._logs(topic, since.logs, until.logs)
            for message, through in messages:
                reached = through if len(logs) == 1 else since.logs
                frames.append(perfect_ui.frame(message, id=str(Position(until.events, reached))))
        return frames

    async def _overview(self, topics: set[str], since: int, until: int) -> list[str]:
        if until - since > MOST_EVENTS:
            raise Lost
        events = await self._bus.read_raw("perfect.evt.*.*", after=since, until=until)
        run_ids = list(dict.fromkeys(subject.rpartition(".")[2] for _, subject, _ in events))
        if len(events) < until - since or len(run_ids) > MOST_RUNS:
            raise Lost
        html = []
        for run_id in run_ids:
            live = await self._board.load(run_id)
            life = live.history.run
            if life is None:
                continue
            shape = fragments.run_dict(live.history, await self._flows.facts(life.flow_id))
            if shape is None:
                continue
            if "runs" in topics:
                html.append(fragments.run_card(shape) + fragments.run_row(shape))
            elif f"flow:{life.flow_id}" in topics:
                html.append(fragments.run_row(shape))
        for topic in topics:
            if topic.startswith("flow:"):
                html += await self._statistics(topic.partition(":")[2])
        return html

    async def _statistics(self, flow_id: str) -> list[str]:
        flow, _ = await self._asker.value("flow", queries.FlowDetail(flow=flow_id), FlowView)
        return [fragments.flow_statistics(flow)]

    async def _flow_cards(self, since: int) -> list[str]:
        """Cards of the flows that were defined since the time of the event at `since`, with a margin."""
        definitions, _ = await self._bus.last_of_each(subjects.ALL_FLOWS, stream="DEFS")
        if not definitions:
            return []
        known = await self._time_of(since)
        changed = []
        for _, data in definitions.values():
            event = codec.decode(data)
            if not isinstance(event, UnknownEvent) and event.at >= known - MARGIN:
                changed.append(getattr(event, "flow_id", ""))
        if len(changed) > MOST_FLOWS:
            raise Lost
        flows, _ = await self._asker.value("flows", queries.FlowList(), list[FlowView])
        return [fragments.flow_card(flow) for flow in flows if flow.id in changed]

    async def _time_of(self, seq: int) -> datetime:
        for _, _, data in (
            await self._bus.read_raw("perfect.evt.*.*", after=seq - 1, until=seq) if seq else ()
        ):
            event = codec.decode(data)
            if not isinstance(event, UnknownEvent):
                return event.at
        return datetime.min.replace(tzinfo=UTC) + MARGIN

    async def _run(self, kind: str, run_id: str, since: int, until: int) -> list[str]:
        """The part of the run's page that the topic of this kind moves."""
        live = await self._board.load(run_id)
        history = live.history
        if history.run is None:
            if await missing(self._bus, "EVENTS", after=since, through=until):
                raise Lost  # it may have ended and left the bus since the page was loaded
            return []
        if history.seq <= since:
            return []
        facts = await self._flows.facts(history.run.flow_id)
        shape = fragments.run_dict(history, facts)
        if shape is None:
            return []
        if kind == "run":
            return [fragments.run_header(await explain(self._bus, shape))]
        if kind == "timeline":
            if live.is_large:
                raise Lost  # the page is of a smaller run
            return [fragments.run_timeline(shape, fragments.task_dicts(history.tasks.values(), facts))]
        listed = live.listed() if live.is_large else history.tasks.keys()
        changed = [
            task
            for key, task in history.tasks.items()
            if key in listed and (task.last_seq > since or task.performance_warning)
        ]
        if len(changed) > fragments.ROWS:
            raise Lost
        return [fragments.task_rows(fragments.task_dicts(changed, facts))] if changed else []

    async def _logs(self, topic: str, since: int, until: int) -> list[tuple[str, int]]:
        base, query = part(topic)
        run_id = base.partition(":")[2]
        if since > until:
            raise Lost
        if since == until:
            return []
        if since and (await self._bus.js.stream_info("LOGS")).state.first_seq > since + 1:
            raise Lost
        batches = await self._bus.read_raw(subjects.log(run_id), after=since, until=until, stream="LOGS")
        if len(batches) > MOST_BATCHES:
            raise Lost
        return log_messages(decode((seq, data) for seq, _, data in batches), LogFilter.parse(query))
