"""Which event may follow in which state of a run, and the state that it leads to: state → event → next state."""

from perfect_schemas import events as e
from perfect_schemas.envelope import Event
from perfect_schemas.states import RunState as S

MOVES: dict[S | None, dict[type[Event], S]] = {
    None: {
        e.RunScheduled: S.SCHEDULED,
        e.RunRestored: S.FAILED,  # or whichever final state the event says
    },
    S.SCHEDULED: {
        e.RunQueued: S.PENDING,
        e.RunStarted: S.RUNNING,  # origin local and child: its own client starts it, there is no hand-over
        e.RunForked: S.SCHEDULED,
        e.RunCancelled: S.CANCELLED,
        e.RunCrashed: S.CRASHED,
    },
    S.PENDING: {
        e.RunQueued: S.PENDING,
        e.RunStarted: S.RUNNING,
        e.RunCancelled: S.CANCELLED,
        e.RunCrashed: S.CRASHED,
    },
    S.RUNNING: {
        e.RunStarted: S.RUNNING,  # the next epoch, claimed by the supervisor whose executor died
        e.RunCompleted: S.COMPLETED,
        e.RunFailed: S.FAILED,
        e.RunSuspended: S.PAUSED,
        e.RunRetrying: S.SCHEDULED,
        e.RunLost: S.PENDING,
        e.RunNamed: S.RUNNING,
        e.RunPausing: S.RUNNING,
        e.RunCancelling: S.CANCELLING,
        e.RunCrashed: S.CRASHED,
    },
    S.PAUSED: {e.RunResumed: S.PENDING, e.RunCancelled: S.CANCELLED, e.RunCrashed: S.CRASHED},
    S.CANCELLING: {e.RunCancelled: S.CANCELLED},
    S.COMPLETED: {e.RunArchived: S.COMPLETED, e.RunRestored: S.COMPLETED},
    S.FAILED: {e.RunRetried: S.PENDING, e.RunArchived: S.FAILED, e.RunRestored: S.FAILED},
    S.CRASHED: {e.RunRetried: S.PENDING, e.RunArchived: S.CRASHED, e.RunRestored: S.CRASHED},
    S.CANCELLED: {e.RunRetried: S.PENDING, e.RunArchived: S.CANCELLED, e.RunRestored: S.CANCELLED},
}
