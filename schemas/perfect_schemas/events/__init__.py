"""All events: the union `AnyEvent` that the wire carries, one module a noun."""

from perfect_schemas.envelope import Event
from perfect_schemas.events.archive import RunArchived, RunRestored
from perfect_schemas.events.artifact import ArtifactSaved
from perfect_schemas.events.client import ClientConnected, ClientDisconnected, ClientLost
from perfect_schemas.events.flow import (
    Deployment,
    FlowDeployed,
    FlowRegistered,
    FlowRemoved,
    FlowUndeployed,
    TaskDefinition,
)
from perfect_schemas.events.limit import (
    LimitCondensed,
    LimitRemoved,
    LimitSet,
    SlotGranted,
    SlotHeld,
    SlotReleased,
    SlotSpent,
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
    RunNamed,
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
from perfect_schemas.events.schedule import (
    ScheduleCondensed,
    ScheduleCreated,
    ScheduleDeferred,
    ScheduleFired,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSkipped,
    ScheduleUpdated,
)
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
from perfect_schemas.events.variable import VariableRemoved, VariableSet

RunEvent = (
    RunScheduled
    | RunQueued
    | RunStarted
    | RunSuspended
    | RunResumed
    | RunRetrying
    | RunLost
    | RunNamed
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
    | FlowDeployed
    | FlowUndeployed
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
    | VariableSet
    | VariableRemoved
)
LimitEvent = LimitSet | LimitRemoved | SlotGranted | SlotReleased | SlotSpent | LimitCondensed
ScheduleEvent = (
    ScheduleCreated
    | ScheduleUpdated
    | SchedulePaused
    | ScheduleResumed
    | ScheduleRemoved
    | ScheduleFired
    | ScheduleDeferred
    | ScheduleSkipped
    | ScheduleCondensed
)
PerformanceEvent = PerformanceWarned | PerformanceRunningLong
AnyEvent = (
    RunEvent
    | TaskEvent
    | DefinitionEvent
    | LimitEvent
    | ScheduleEvent
    | PerformanceEvent
    | LogBatch
    | ArtifactSaved
)

FINAL_TASK_EVENTS = (TaskCompleted, TaskCached, TaskFailed, TaskSkipped, TaskAdopted)

__all__ = [
    "FINAL_TASK_EVENTS",
    "AnyEvent",
    "ArtifactSaved",
    "AwaitedTasks",
    "ClientConnected",
    "ClientDisconnected",
    "ClientLost",
    "DefinitionEvent",
    "Deployment",
    "Event",
    "FlowDeployed",
    "FlowRegistered",
    "FlowRemoved",
    "FlowUndeployed",
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
    "RunNamed",
    "RunPausing",
    "RunQueued",
    "RunRestored",
    "RunResumed",
    "RunRetried",
    "RunRetrying",
    "RunScheduled",
    "RunStarted",
    "RunSuspended",
    "ScheduleCondensed",
    "ScheduleCreated",
    "ScheduleDeferred",
    "ScheduleEvent",
    "ScheduleFired",
    "SchedulePaused",
    "ScheduleRemoved",
    "ScheduleResumed",
    "ScheduleSkipped",
    "ScheduleUpdated",
    "SlotGranted",
    "SlotHeld",
    "SlotReleased",
    "SlotSpent",
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
    "VariableRemoved",
    "VariableSet",
]
