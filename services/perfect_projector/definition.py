"""Flows, their tasks, clients and schedules: what the events on DEFS say."""

from collections.abc import Iterable

import msgspec

from perfect_projector.batch import Batch, Message, Row
from perfect_projector.schedule_row import Schedules
from perfect_projector.values import instant, text, timestamp
from perfect_schemas.envelope import Event
from perfect_schemas.events import (
    ClientConnected,
    ClientDisconnected,
    ClientLost,
    Deployment,
    FlowDeployed,
    FlowRegistered,
    FlowRemoved,
    FlowUndeployed,
    ScheduleEvent,
    TaskDefinition,
)
from perfect_schemas.folds import flow as flow_fold
from perfect_schemas.folds.flow import Flow
from perfect_schemas.ids import is_id

_decode_tasks = msgspec.json.Decoder(list[TaskDefinition]).decode
_decode_parameters = msgspec.json.Decoder(dict).decode
_decode_deployments = msgspec.json.Decoder(dict[str, Deployment]).decode
_FlowEvent = FlowRegistered | FlowDeployed | FlowUndeployed | FlowRemoved


class Definitions:
    """flows: id → the newest version, of all flows."""

    def __init__(self) -> None:
        self.flows: dict[str, Flow] = {}
        self.schedules = Schedules()
        self.invalid = 0

    def restore(self, rows: Iterable[Row]) -> None:
        self.flows = {flow.id: flow for flow in map(flow_of, rows)}

    def fold(self, batch: Batch, message: Message, event: Event) -> None:
        match event:
            case FlowRegistered() | FlowDeployed() | FlowUndeployed() | FlowRemoved():
                self._flow(batch, message, event)
            case ClientConnected() | ClientDisconnected() | ClientLost():
                self._client(batch, message, event)
            case _ if isinstance(event, ScheduleEvent):
                self._schedule(batch, message, event)

    def _flow(self, batch: Batch, message: Message, event: _FlowEvent) -> None:
        tasks = event.tasks if isinstance(event, FlowRegistered) else []
        if not (is_id(event.flow_id) and all(is_id(task.id) for task in tasks)):
            self.invalid += 1
            return
        before = self.flows.get(event.flow_id)
        after = flow_fold.evolve(before, event, message.seq)
        if after is before or after is None:
            return
        self.flows[after.id] = after
        put(batch.flows, row_of(after))
        if isinstance(event, FlowRegistered):
            now = {task.id for task in tasks}
            gone = [(None, task) for task in (before.tasks if before else []) if task.id not in now]
            for position, task in [*gone, *enumerate(tasks)]:
                put(batch.tasks, _task_row(after.id, task, position, message.seq))

    def _schedule(self, batch: Batch, message: Message, event: ScheduleEvent) -> None:
        rows = self.schedules.fold(event, message.seq)
        if rows is None:
            self.invalid += 1
            return
        schedule, decision = rows
        if schedule is not None:
            put(batch.schedules, schedule)
        if decision is not None:
            batch.schedule_decisions.append(decision)

    def _client(
        self, batch: Batch, message: Message, event: ClientConnected | ClientDisconnected | ClientLost
    ) -> None:
        if not is_id(event.client_id):
            self.invalid += 1
            return
        at = timestamp(event.at)
        if isinstance(event, ClientConnected):
            drop(batch.ended_clients, event.client_id)
            put(
                batch.clients,
                (
                    event.client_id,
                    event.name,
                    event.host,
                    event.pid,
                    event.slots,
                    event.flows,
                    event.queues,
                    event.sdk_version,
                    "CONNECTED",
                    at,
                    at,
                    message.seq,
                ),
            )
        else:
            state = "LOST" if isinstance(event, ClientLost) else "DISCONNECTED"
            put(batch.ended_clients, (event.client_id, state, at, message.seq))


def put(rows: list[Row], row: Row) -> None:
    """Keep `row` as the only one of its key, the first column."""
    drop(rows, row[0])
    rows.append(row)


def drop(rows: list[Row], key: str) -> None:
    rows[:] = [row for row in rows if row[0] != key]


def row_of(flow: Flow) -> Row:
    """In the order of the columns in `merge_flows` and `load_flows`."""
    return (
        flow.id,
        flow.name,
        flow.version,
        flow.description,
        flow.tags,
        text(flow.parameters),
        text(flow.tasks),
        flow.entrypoint,
        flow.schedule,
        flow.hidden,
        timestamp(flow.created_at),
        timestamp(flow.registered_at),
        flow.last_seq,
        text(flow.deployments),
    )


def flow_of(row: Row) -> Flow:
    (
        flow_id,
        name,
        version,
        description,
        tags,
        parameters,
        tasks,
        entrypoint,
        schedule,
        hidden,
        created_at,
        registered_at,
        last_seq,
        deployments,
    ) = row
    return Flow(
        id=flow_id,
        name=name,
        version=version,
        description=description,
        tags=tags,
        parameters=_decode_parameters(parameters),
        tasks=_decode_tasks(tasks),
        entrypoint=entrypoint,
        schedule=schedule,
        hidden=hidden,
        created_at=instant(created_at),  # type: ignore[arg-type]
        registered_at=instant(registered_at),  # type: ignore[arg-type]
        last_seq=last_seq,
        deployments=_decode_deployments(deployments) if deployments else {},
    )


def _task_row(flow_id: str, task: TaskDefinition, position: int | None, seq: int) -> Row:
    return (
        task.id,
        flow_id,
        task.name,
        task.description,
        task.weight,
        task.estimated_time,
        position,
        seq,
    )
