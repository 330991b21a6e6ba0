"""What a resumed run has done already, asked for call by call. Pure, apart from remembering what was taken."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES
from perfect_sdk.calling.keys import Place, family, is_branch, scope_of
from perfect_sdk.exceptions import NonDeterministicFlowError

OF_CONCEALED = "~"  # begins the digest of inputs that hold a secret, with stars in its place


class Replay:
    """`match` says for each call which recorded task it is.

    A call is the record at its key, if the inputs have the same digest (or one of them has none). With another digest
    it is the next record of that name and digest in its scope (a different order), or the record at its key after all
    if that has not ended (it runs again anyway). Otherwise, and when the record at its ordinal has another name,
    the flow has left its history: NonDeterministicFlowError. Branches that run at the same time (asyncio tasks that
    take work from one queue) may take over each other's records, and what none of them has is new work.

    Records that were adopted from another run bind nobody: one whose inputs are others now runs again at its key, and
    calls that are not among them are new work.
    """

    def __init__(self, tasks: Iterable[TaskLife]) -> None:
        self.by_key: dict[str, TaskLife] = {task.key: task for task in tasks}
        self._at: dict[tuple[str, int], TaskLife] = {}
        self._alike: dict[tuple[str, str, str | None], list[TaskLife]] = defaultdict(list)
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}
        self._lock = threading.Lock()
        for task in self.by_key.values():
            scope = scope_of(task.key)
            self._at[scope, task.ordinal] = task
            self._last[scope] = max(task.ordinal, self._last.get(scope, -1))
            self._alike[family(scope), task.name, task.input_digest].append(task)

    @property
    def keys(self) -> Mapping[str, TaskLife]:
        return self.by_key

    def match(self, place: Place, name: str, digest: str | None) -> TaskLife | None:
        """The record of the call at `place`, None when it is new. Raises NonDeterministicFlowError."""
        scope, key, ordinal = place
        with self._lock:
            there = self._at.get((scope, ordinal))
            if there is not None and there.name != name and not is_branch(scope) and not _is_adopted(there):
                raise NonDeterministicFlowError(there.key, key)
            record = self.by_key.get(key)
            if record is None and not is_branch(scope):
                return None
            if record is not None and key not in self._taken and _same(record.input_digest, digest):
                return self._take(record)
            if record is not None and _is_adopted(record) and not is_branch(scope):
                return msgspec.structs.replace(self._take(record), result=None)
            if digest is not None:
                for other in self._alike.get((family(scope), name, digest), ()):
                    if other.key not in self._taken:
                        return self._take(other)
            if record is None:
                return None
            if key not in self._taken and record.state not in FINAL_TASK_STATES:
                return self._take(record)
            if is_branch(scope):
                return None
        raise NonDeterministicFlowError(key, key, "it is called with other inputs than the recorded ones")

    def at(self, place: Place) -> TaskLife | None:
        """The record at the same ordinal; not told for branches, which may take over each other's records,
        nor for adopted ones.
        """
        there = None if is_branch(place.scope) else self._at.get((place.scope, place.ordinal))
        return None if there is None or _is_adopted(there) else there

    def is_past(self, place: Place) -> bool:
        """Whether a later call of the scope is recorded: what stands at `place` was passed then."""
        return self._last.get(place.scope, -1) > place.ordinal

    def _take(self, record: TaskLife) -> TaskLife:
        self._taken.add(record.key)
        return record


def _is_adopted(record: TaskLife) -> bool:
    return record.origin_run_id is not None


def _same(recorded: str | None, asked: str | None) -> bool:
    """Where just one of them is of concealed inputs, the secret was not known to both: that tells nothing."""
    if recorded is None or asked is None or recorded == asked:
        return True
    return recorded.startswith(OF_CONCEALED) != asked.startswith(OF_CONCEALED)
