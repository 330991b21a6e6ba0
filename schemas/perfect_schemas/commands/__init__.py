"""Commands: what somebody wants done. Request/reply on `perfect.cmd.<service>.<verb>`.

The caller makes the ids of what a command creates and repeats the command until it is answered or 10 s have
passed; a service answers a repeat like the first, without doing anything twice.
"""

from perfect_schemas.commands.client import (
    Control,
    Pausing,
    Presence,
)
from perfect_schemas.commands.flow import (
    Registered,
    RegisterFlow,
    RemoveFlow,
)
from perfect_schemas.commands.hand_over import (
    HandOver,
    TaskHandOver,
)
from perfect_schemas.commands.limit import (
    Acquired,
    AcquireSlots,
    Holder,
    LimitView,
    ReleaseSlots,
    RemoveLimit,
    SetLimit,
    ShowLimits,
    SlotView,
)
from perfect_schemas.commands.process import (
    ProcessStatus,
    ShowProcesses,
    StartProcess,
    StopProcess,
)
from perfect_schemas.commands.read_model import (
    CopyReadModel,
    Forget,
    ReadModelCopy,
    ReadPosition,
    ReplaceReadModel,
)
from perfect_schemas.commands.reply import (
    Done,
    Health,
    Reply,
)
from perfect_schemas.commands.run import (
    CancelRun,
    ForkRun,
    LiveRuns,
    PauseRun,
    ResumeRun,
    RetryRun,
    Triggered,
    TriggerRun,
)
from perfect_schemas.commands.saved_query import (
    RemoveQuery,
    SavedQuery,
    SaveQuery,
    ShowQueries,
)

__all__ = [
    "AcquireSlots",
    "Acquired",
    "CancelRun",
    "Control",
    "CopyReadModel",
    "Done",
    "Forget",
    "ForkRun",
    "HandOver",
    "Health",
    "Holder",
    "LimitView",
    "LiveRuns",
    "PauseRun",
    "Pausing",
    "Presence",
    "ProcessStatus",
    "ReadModelCopy",
    "ReadPosition",
    "RegisterFlow",
    "Registered",
    "ReleaseSlots",
    "RemoveFlow",
    "RemoveLimit",
    "RemoveQuery",
    "ReplaceReadModel",
    "Reply",
    "ResumeRun",
    "RetryRun",
    "SaveQuery",
    "SavedQuery",
    "SetLimit",
    "ShowLimits",
    "ShowProcesses",
    "ShowQueries",
    "SlotView",
    "StartProcess",
    "StopProcess",
    "TaskHandOver",
    "TriggerRun",
    "Triggered",
]
