"""What is said of a run when its events leave the bus, and when they are wanted there again.

Subject: `perfect.evt.run.<run_id>` on EVENTS, guarded like every event of a run's life.
"""

from typing import Literal

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events.run import TakenWait


class RunArchived(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.archived"):
    """Said by the projector of a run that ended long ago: it is in the read model for good, and everything on its
    subjects up to this event may be gone at any time. Nothing may be decided on what stands before it.
    """


class RunRestored(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.restored"):
    """Said by the engine before an archived run is tried again: the run as it ended, taken from the read model. Its
    tasks stand before it, as `task.adopted`.

    life: the fold of its events (`folds.run.RunLife`), as JSON. state: the one in it.
    waits: those that are not waited for again.
    """

    state: Literal["COMPLETED", "FAILED", "CANCELLED", "CRASHED"]
    life: msgspec.Raw
    waits: list[TakenWait] = []
