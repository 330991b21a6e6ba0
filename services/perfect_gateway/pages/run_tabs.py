"""The tabs of a run's page, each with just what it shows, and the run as it was at one of its events (`?at=`)."""

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec

from perfect_gateway import shapes
from perfect_gateway.facts import FlowFacts
from perfect_gateway.folded import run_of
from perfect_gateway.live import fragments
from perfect_gateway.log_filter import LogFilter
from perfect_gateway.moment import Moment, MomentReader
from perfect_gateway.pages.log_tab import LogTab
from perfect_gateway.pages.page import position
from perfect_gateway.parts import Parts
from perfect_gateway.reasons import explain
from perfect_gateway.runs import no_run
from perfect_schemas import drawn, queries
from perfect_schemas.events import PerformanceEvent, RunEvent, TaskEvent
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.shown import artifact_view
from perfect_ui.rendering import window
from perfect_ui.run_graph import GROUP_ABOVE, MOST_BOXES
from perfect_ui.timeline import GROUP_ABOVE as GROUPED_ABOVE

Tab = Literal["overview", "timeline", "graph", "tasks", "logs", "events", "artifacts", "parameters"]
LINES = 1000
LineNumber = Annotated[int, msgspec.Meta(ge=-1, lt=2**62)]
TASKS_ON_ONE_PAGE = 500
TASKS_A_PAGE = 100  # of a run with more
TASKS_LISTED = 100  # beside the timeline, of a run as it was
TASKS_OF_TIMELINE = 100  # in the table beside the drawing; the tab of the tasks has them all
EVENTS_A_PAGE = 100
EVENT_CHARACTERS = 20_000  # shown on a page; the API has all
KINDS = sorted(
    {
        kind.__struct_config__.tag
        for union in (RunEvent, TaskEvent, PerformanceEvent)
        for kind in union.__args__
    }
)


class RunTabQuery(msgspec.Struct, frozen=True, kw_only=True):
    """cursor: the page of tasks or events. kind: just events whose type begins so. task: a key, to be shown first.
    at: an EVENTS sequence; the run is shown as it was then. n: the same by the event's place among the run's, from 0.
    Of the logs: level, q (a text), task: just those lines; line, before, after: numbers of lines.
    """

    tab: Tab = "overview"
    cursor: str | None = None
    kind: str | None = None
    task: str | None = None
    at: int | None = None
    n: int | None = None
    level: str | None = None
    q: str | None = None
    line: LineNumber | None = None
    before: LineNumber | None = None
    after: LineNumber | None = None


class _Drawn(msgspec.Struct):
    """Of a task run, what a graph or a table beside a drawing takes."""

    task_key: str
    name: str
    state: str
    start_time: str | None
    end_time: str | None
    duration_ms: int | None
    run_name: str | None = None
    after: list[str] = []


class _DrawnPage(msgspec.Struct):
    task_runs: list[_Drawn]


_decode_drawn = msgspec.json.Decoder(_DrawnPage).decode


class RunTabs:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._moments = MomentReader(parts)

    async def shown(self, wanted: str, asked: RunTabQuery) -> dict[str, Any]:
        """What `pages/run.html` takes for `asked.tab`. Raises NotFound."""
        reply = await self._parts.asker.of_run("run", queries.RunDetail(run_id=wanted), wanted)
        run = await explain(self._parts.bus, msgspec.json.decode(reply.value))
        context = {
            "tab": asked.tab,
            "run": shapes.run_shape(run, result=True),
            "actions": shapes.actions(run),
            "seq": position(reply.seq),
            "version": self._parts.version,
        }
        match asked.tab:
            case "logs":
                context |= await self._logs(wanted, asked, reply.seq)
            case "events":
                context |= await self._events(wanted, asked)
            case "tasks":
                context |= await self._tasks(run, asked)
            case "timeline":
                context["tasks"] = await self._listed(run, TASKS_OF_TIMELINE)
            case "graph":
                context |= await self._graph(run)
            case "artifacts":
                query = queries.ArtifactPage(run_id=wanted)
                found, _ = await self._parts.asker.value("artifacts", query, queries.Artifacts)
                context["artifacts"] = [shapes.artifact_shape(one) for one in found.artifacts]
        return context

    async def _logs(self, wanted: str, asked: RunTabQuery, seq: int | None) -> dict[str, Any]:
        tab = LogTab(self._parts, wanted, LogFilter.of(asked.level, asked.q, asked.task))
        shown, as_of = await tab.shown(before=asked.before, after=asked.after, line=asked.line)
        return {**shown, "seq": position(seq, as_of)}

    async def _events(self, wanted: str, asked: RunTabQuery) -> dict[str, Any]:
        query = queries.EventPage(
            run_id=wanted, kind=asked.kind, limit=EVENTS_A_PAGE, cursor=asked.cursor or None
        )
        found, _ = await self._parts.asker.value("events", query, queries.Events)
        following = {"tab": "events", **({"kind": asked.kind} if asked.kind else {}), "cursor": found.next}
        return {
            "kinds": KINDS,
            "kind": asked.kind or "",
            "first": not asked.cursor,
            "events": [_event_shape(one.seq, bytes(one.event)) for one in found.events],
            "following": f"/runs/{wanted}?{urlencode(following)}" if found.next else None,
        }

    async def _tasks(self, run: dict[str, Any], asked: RunTabQuery) -> dict[str, Any]:
        limit = TASKS_ON_ONE_PAGE if run["tasks_total"] <= TASKS_ON_ONE_PAGE else TASKS_A_PAGE
        query = queries.TaskRunPage(run_id=run["id"], limit=limit, cursor=asked.cursor or None)
        facts, (found, _) = await asyncio.gather(
            self._parts.flows.facts(run["flow_id"]),
            self._parts.asker.value("task_runs", query, queries.TaskRuns),
        )
        following = urlencode({"tab": "tasks", "cursor": found.next or ""})
        return {
            "tasks": [shapes.task_shape(task, facts.usual) for task in shapes.plain(found.task_runs)],
            "first": not asked.cursor,
            "task": asked.task or "",
            "following": f"/runs/{run['id']}?{following}" if found.next else None,
        }

    async def _listed(self, run: dict[str, Any], most: int) -> list[dict[str, Any]]:
        reply = await self._parts.asker.query("task_runs", queries.TaskRunPage(run_id=run["id"], limit=most))
        return [msgspec.structs.asdict(task) for task in _decode_drawn(bytes(reply.value)).task_runs]

    async def _graph(self, run: dict[str, Any]) -> dict[str, Any]:
        if run["tasks_total"] <= GROUP_ABOVE:
            return {"tasks": await self._listed(run, GROUP_ABOVE)}
        query = drawn.TaskGroups(run_id=run["id"], limit=MOST_BOXES)
        reply = await self._parts.asker.query("task_groups", query)
        return {"tasks": [], "groups": msgspec.json.decode(reply.value)}

    async def address(self, wanted: str, asked: RunTabQuery) -> str:
        """Of the page that shows the run at its `asked.n`-th event."""
        return f"/runs/{wanted}?at={await self._moments.seq_of(wanted, asked.n or 0)}"

    async def as_it_was(self, wanted: str, asked: RunTabQuery) -> dict[str, Any]:
        """The run at the event `asked.at`. The page is not live. Raises NotFound."""
        moment = await self._moments.at(wanted, asked.at or 0)
        history = moment.history
        if history.run is None:
            raise no_run(wanted)
        facts, lines = await asyncio.gather(
            self._parts.flows.facts(history.run.flow_id), self._lines(wanted, moment.event.at)
        )
        view = run_of(history, facts)
        artifacts = sorted(history.artifacts.values(), key=lambda life: life.first_seq)
        return {
            "tab": "overview",
            "now": shapes.plain(moment.event.at),
            "moment": _moment_shape(moment),
            "run": shapes.run_shape(shapes.plain(view), result=True),
            **_listed_and_drawn(list(history.tasks.values()), facts),
            "logs": lines,
            "logs_earlier": None,
            "artifacts": [
                shapes.artifact_shape(artifact_view(one)) for one in artifacts if one.kind is not None
            ],
            "actions": [],
            "seq": None,
            "version": self._parts.version,
        }

    async def _lines(self, wanted: str, moment: datetime) -> list[dict[str, Any]]:
        query = queries.LogPage(run_id=wanted, limit=LINES)
        found, _ = await self._parts.asker.value("logs", query, queries.Logs)
        return [shapes.log_shape(line) for line in found.logs if line.at <= moment]


def _listed_and_drawn(lives: list[TaskLife], facts: FlowFacts) -> dict[str, Any]:
    """Of many task runs just those are made rows of that are listed; the timeline draws groups of all."""
    if len(lives) <= GROUPED_ABOVE:
        return {"tasks": fragments.task_dicts(lives, facts)}
    drawn = [
        {"name": life.name, "state": life.state, "start_time": life.start_time, "end_time": life.end_time}
        for life in lives
    ]
    listed = [lives[place] for place in window(drawn, TASKS_LISTED)]
    return {"tasks": fragments.task_dicts(listed, facts), "drawn": drawn}


def _moment_shape(moment: Moment) -> dict[str, Any]:
    return {
        "n": moment.n,
        "count": moment.count,
        "seq": moment.seq,
        "at": shapes.plain(moment.event.at),
        "kind": moment.event.type,
        "task_key": moment.event.task_key,
        "prior": moment.prior,
        "following": moment.following,
    }


def _event_shape(seq: int, data: bytes) -> dict[str, Any]:
    said = msgspec.json.decode(data)
    text = msgspec.json.format(data, indent=2).decode()
    return {
        "seq": seq,
        "type": said.get("type", ""),
        "at": said.get("at"),
        "task_key": said.get("task_key"),
        "source": said.get("source", ""),
        "text": text if len(text) <= EVENT_CHARACTERS else f"{text[:EVENT_CHARACTERS]}…",
    }
