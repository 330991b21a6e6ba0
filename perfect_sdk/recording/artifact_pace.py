"""How often a run says where its progress artifacts are: what comes faster is left out, the newest is always said.

A bar that a loop moves a thousand times a second is for people, who see no more than a few of them. What is held back
is said when its time has come, at the latest before the end of the task, or of the run, that said it.
"""

import contextlib
import threading
import time
from typing import TYPE_CHECKING

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events import (
    ArtifactSaved,
    RunCancelled,
    RunCompleted,
    RunFailed,
    RunRetrying,
    RunSuspended,
    TaskCompleted,
    TaskFailed,
    TaskRetrying,
)
from perfect_sdk.recording.journal import RunSupersededError

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunSession

EVERY_S = 0.2
REMEMBERED = 1000
_making = threading.Lock()
_ENDS_OF_TASK = frozenset({TaskCompleted, TaskFailed, TaskRetrying})
_ENDS_OF_RUN = frozenset({RunCompleted, RunFailed, RunCancelled, RunSuspended, RunRetrying})


def say(session: "RunSession", event: ArtifactSaved) -> None:
    """Now, or soon, or not at all when something newer comes before."""
    with _making:
        if session.pace is None:
            session.pace = ArtifactPace(session)
    session.pace.say(event)


class ArtifactPace:
    """Of one run. Thread-safe. A key has one pace, an artifact without a key one of its own."""

    def __init__(self, session: "RunSession") -> None:
        self._session = session
        self._lock = threading.RLock()  # what is said under it may come back by the same thread
        self._held: dict[str, ArtifactSaved] = {}
        self._said: dict[str, float] = {}  # when, on the monotonic clock
        self._left_out: dict[str, ArtifactSaved] = {}
        self._timer: threading.Timer | None = None

    def say(self, event: ArtifactSaved) -> None:
        made = self._session.artifacts.get(event.artifact_id, event)
        name = made.key or event.artifact_id
        with self._lock:
            event = self._with_its_making(name, event)
            now = time.monotonic()
            if now - self._said.get(name, -EVERY_S) >= EVERY_S and name not in self._held:
                self._emit(name, event, now)
                return
            self._held[name] = event
            if self._timer is None:
                self._timer = threading.Timer(EVERY_S, self._due)
                self._timer.daemon = True
                self._timer.start()

    def before(self, event: Event) -> None:
        """`event` is about to be stored."""
        if not self._held:
            return
        kind = type(event)
        if kind in _ENDS_OF_RUN:
            self._release(None)
        elif kind in _ENDS_OF_TASK:
            self._release(event.task_run_id)

    def _with_its_making(self, name: str, event: ArtifactSaved) -> ArtifactSaved:
        """A change of an artifact whose making was not said yet says it with it. One that another of its key replaces
        before it was said is never said, unless it changes once more.
        """
        held = self._held.get(name)
        if held is not None and held.artifact_id != event.artifact_id:
            if held.kind is not None and event.kind is not None:
                self._left_out[held.artifact_id] = held
            else:
                self._emit(name, held, time.monotonic())
            held = None
        making = self._left_out.pop(event.artifact_id, held)
        if event.kind is not None or making is None or making.kind is None:
            return event
        return msgspec.structs.replace(
            event, kind=making.kind, key=making.key, description=event.description or making.description
        )

    def _due(self) -> None:
        with self._lock:
            self._timer = None
            with contextlib.suppress(RunSupersededError):  # the run is somebody else's by now
                self._release(None)

    def _release(self, task_run_id: str | None) -> None:
        with self._lock:
            now = time.monotonic()
            for name, event in list(self._held.items()):
                if task_run_id in (None, event.task_run_id):
                    del self._held[name]
                    self._emit(name, event, now)

    def _emit(self, name: str, event: ArtifactSaved, now: float) -> None:
        if len(self._said) >= REMEMBERED:
            self._said = {one: at for one, at in self._said.items() if now - at < EVERY_S}
        self._said[name] = now
        self._session.emit(event)
