"""All events: the union `AnyEvent` that the wire carries, one module a noun."""

from perfect_schemas.envelope import Event
from perfect_schemas.events.archive import RunArchived, RunRestored
from perfect_schemas.events.client import ClientConnected, ClientDisconnected, ClientLost
from perfect_schemas.events.flow import FlowRegistered, FlowRemoved, TaskDefinition
from perfect_schemas.events.limit import (
    LimitCondensed,
    LimitRemoved,
    LimitSet,
    SlotGranted,
    SlotHeld,
    SlotReleased,
)
from perfect_schemas.events.log import LogBatch, LogLine
from perfect_schemas.events.process import (
    ProcessExited,
    ProcessRequested,
    ProcessStarted,
    ProcessStopped,
)
from perfect_schemas.events.run import (
    AwaitedTasks,
    OpenWait,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunCrashed,
    RunFailed,
    RunForked,
    RunLost,
    RunPausing,
    RunQueued,
    RunResumed,
    RunRetried,
    RunRetrying,
    RunScheduled,
    RunStarted,
    RunSuspended,
)
from perfect_schemas.events.saved_query import QueryRemoved, QuerySaved
from perfect_schemas.events.statistic import PerformanceRunningLong, PerformanceWarned
from perfect_schemas.events.task import (
    TaskAdopted,
    TaskCached,
    TaskCompleted,
    TaskFailed,
    TaskQueued,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
)

RunEvent = (
    RunScheduled
    | RunQueued
    | RunStarted
    | RunSuspended
    | RunResumed
    | RunRetrying
    | RunLost
    | RunPausing
    | RunCancelling
    | RunRetried
    | RunForked
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunCrashed
    | RunArchived
    | RunRestored
)
TaskEvent = (
    TaskQueued
    | TaskStarted
    | TaskRetrying
    | TaskCompleted
    | TaskCached
    | TaskFailed
    | TaskSkipped
    | TaskAdopted
)
DefinitionEvent = (
    FlowRegistered
    | FlowRemoved
    | ClientConnected
    | ClientDisconnected
    | ClientLost
    | ProcessRequested
    | ProcessStarted
    | ProcessExited
    | ProcessStopped
    | QuerySaved
    | QueryRemoved
)
LimitEvent = LimitSet | LimitRemoved | SlotGranted | SlotReleased | LimitCondensed
PerformanceEvent = PerformanceWarned | PerformanceRunningLong
AnyEvent = RunEvent | TaskEvent | DefinitionEvent | LimitEvent | PerformanceEvent | LogBatch

FINAL_TASK_EVENTS = (TaskCompleted, TaskCached, TaskFailed, TaskSkipped, TaskAdopted)

__all__ = [
    "FINAL_TASK_EVENTS",
    "AnyEvent",
    "AwaitedTasks",
    "ClientConnected",
    "ClientDisconnected",
    "ClientLost",
    "DefinitionEvent",
    "Event",
    "FlowRegistered",
    "FlowRemoved",
    "LimitCondensed",
    "LimitEvent",
    "LimitRemoved",
    "LimitSet",
    "LogBatch",
    "LogLine",
    "OpenWait",
    "PerformanceEvent",
    "PerformanceRunningLong",
    "PerformanceWarned",
    "ProcessExited",
    "ProcessRequested",
    "ProcessStarted",
    "ProcessStopped",
    "QueryRemoved",
    "QuerySaved",
    "RunArchived",
    "RunCancelled",
    "RunCancelling",
    "RunCompleted",
    "RunCrashed",
    "RunEvent",
    "RunFailed",
    "RunForked",
    "RunLost",
    "RunPausing",
    "RunQueued",
    "RunRestored",
    "RunResumed",
    "RunRetried",
    "RunRetrying",
    "RunScheduled",
    "RunStarted",
    "RunSuspended",
    "SlotGranted",
    "SlotHeld",
    "SlotReleased",
    "TaskAdopted",
    "TaskCached",
    "TaskCompleted",
    "TaskDefinition",
    "TaskEvent",
    "TaskFailed",
    "TaskQueued",
    "TaskRetrying",
    "TaskSkipped",
    "TaskStarted",
]
