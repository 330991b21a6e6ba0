"""A run with its tasks: literal cases, and a state machine that says any event in any state."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from perfect_schemas import codec
from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, Event, StoredValue
from perfect_schemas.events import FINAL_TASK_EVENTS
from perfect_schemas.folds.history import OPEN_TASK_AT_END, History, fold
from perfect_schemas.folds.moves import MOVES
from perfect_schemas.folds.task import BEGINS, STATE_AFTER
from perfect_schemas.states import FINAL_RUN_STATES, FINAL_TASK_STATES
from perfect_schemas.states import RunState as R
from perfect_schemas.states import TaskState as T

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ERROR = ErrorInfo(kind="builtins:ValueError", message="no")
RUN_NEEDS = {
    e.RunScheduled: {"flow_id": "f", "flow_name": "flow"},
    e.RunStarted: {"client_id": "c"},
    e.RunSuspended: {"waits_for": "input"},
    e.RunRetrying: {"tries": 1, "due_at": START},
    e.RunLost: {"client_id": "c", "reason": "lease"},
    e.RunNamed: {"name": "monday"},
    e.RunPausing: {"by": "ann"},
    e.RunCancelling: {"by": "ann"},
    e.RunRetried: {"by": "ann"},
    e.RunForked: {"origin_run_id": "r0"},
    e.RunCompleted: {"duration_ms": 5},
    e.RunFailed: {"duration_ms": 5, "error": ERROR},
    e.RunCrashed: {"reason": "gone"},
    e.RunRestored: {
        "state": "CANCELLED",
        "life": msgspec.Raw(
            b'{"id":"r","flow_id":"f","flow_name":"flow","state":"CANCELLED","created_at":"2026-05-01T12:00:00Z",'
            b'"last_seq":7,"epoch":3}'
        ),
    },
}
TASK_NEEDS = {
    e.TaskQueued: {"queue": "gpu", "dispatch_id": "d"},
    e.TaskRetrying: {"next_at": START, "error": ERROR},
    e.TaskCompleted: {"duration_ms": 3, "result": StoredValue(value=msgspec.Raw(b"1"))},
    e.TaskCached: {"cache_key": "k"},
    e.TaskFailed: {"duration_ms": 3, "error": ERROR},
    e.TaskSkipped: {"reason": "why"},
    e.TaskAdopted: {"origin_run_id": "r0"},
}
RUN_KINDS = list(e.RunEvent.__args__)
TASK_KINDS = list(STATE_AFTER)


def run_event(kind: type, n: int, epoch: int | None = None) -> Event:
    at = START + timedelta(seconds=n)
    return kind(id=f"e{n}", at=at, source="test", run_id="r", epoch=epoch, **RUN_NEEDS.get(kind, {}))


def task_event(kind: type, n: int, epoch: int | None, key: str = "flow/t-0") -> Event:
    return kind(
        id=f"e{n}",
        at=START + timedelta(seconds=n),
        source="test",
        run_id="r",
        task_run_id=key,
        task_key=key,
        task_id="i",
        name="t",
        epoch=epoch,
        **TASK_NEEDS.get(kind, {}),
    )


def warned(n: int, key: str | None) -> Event:
    return e.PerformanceWarned(
        id=f"w{n}",
        at=START,
        source="projector",
        run_id="r",
        task_key=key,
        rule="absolute",
        severity="warning",
        message=f"m{n}",
        duration_ms=1,
        avg_duration_ms=0.5,
    )


def history_of(*said: tuple) -> History:
    """Each: (kind, epoch) for the run, (kind, epoch, key) for a task."""
    return fold(
        (n, run_event(one[0], n, one[1]) if len(one) == 2 else task_event(one[0], n, one[1], one[2]))
        for n, one in enumerate(said, 1)
    )


RUNNING = [(e.RunScheduled, None), (e.RunQueued, None), (e.RunStarted, 1)]


def test_a_zombies_events_after_the_new_claim_change_nothing() -> None:
    history = history_of(
        *RUNNING,
        (e.TaskStarted, 1, "a"),
        (e.RunLost, None),
        (e.TaskCompleted, 1, "a"),  # stands before the new claim: counts
        (e.RunQueued, None),
        (e.RunStarted, 2),
        (e.TaskStarted, 1, "b"),
        (e.TaskFailed, 1, "b"),
    )
    assert {key: task.state for key, task in history.tasks.items()} == {"a": T.COMPLETED}
    assert history.ignored == 2


def test_open_tasks_take_their_state_from_the_runs_end() -> None:
    opened = [(e.TaskStarted, 1, "a"), (e.TaskRetrying, 1, "b"), (e.TaskCompleted, 1, "c")]
    for end, state in ((e.RunFailed, T.CANCELLED), (e.RunCrashed, T.CRASHED), (e.RunCompleted, T.CANCELLED)):
        history = history_of(*RUNNING, *opened, (end, 1))
        assert {key: task.state for key, task in history.tasks.items()} == {
            "a": state,
            "b": state,
            "c": T.COMPLETED,
        }
        assert history.tasks["a"].end_time == history.run.end_time


def test_a_task_that_was_under_way_when_the_run_ended_does_not_open_it_again() -> None:
    history = history_of(
        *RUNNING, (e.RunCrashed, 1), (e.TaskStarted, 1, "late"), (e.TaskCompleted, 1, "late")
    )
    assert history.tasks == {}


def test_after_a_retry_a_failed_task_runs_again_in_whichever_way() -> None:
    for kind in BEGINS:
        history = history_of(
            *RUNNING,
            (e.TaskStarted, 1, "a"),
            (e.TaskFailed, 1, "a"),
            (e.TaskStarted, 1, "b"),
            (e.RunFailed, 1),
            (e.RunRetried, None),
            (e.RunStarted, 2),
            (kind, 2, "a"),
            (kind, 2, "b"),
        )
        assert {task.state for task in history.tasks.values()} == {STATE_AFTER[kind]}


def test_a_warning_counts_whenever_it_comes() -> None:
    history = history_of(*RUNNING, (e.TaskCompleted, 1, "a"), (e.RunFailed, 1))
    history.apply(warned(1, "a"), 10)
    history.apply(warned(2, None), 11)
    assert history.tasks["a"].performance_warning["message"] == "m1"
    assert history.run.performance_warning["message"] == "m2"


class AnyEventInAnyState(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stream: list[tuple[int, Event]] = []
        self.live = History()

    @property
    def epoch(self) -> int:
        return self.live.run.epoch if self.live.run else 0

    def say(self, event: Event) -> None:
        seq = len(self.stream) * 2 + 1
        self.stream.append((seq, event))
        run, tasks = self.live.run, dict(self.live.tasks)
        changed = self.live.apply(event, seq)
        self.check_run(run, event, seq)
        for key, task in self.live.tasks.items():
            before = tasks.get(key)
            if task is not before:
                assert task in changed
                self.check_task(run, before, task, event)

    def check_run(self, before, event: Event, seq: int) -> None:
        after = self.live.run
        if isinstance(event, e.PerformanceWarned) or after is before:
            return
        assert type(event) in MOVES[before.state if before else None]
        assert after.last_seq == seq
        assert after.epoch >= (before.epoch if before else 0)
        if isinstance(event, e.RunStarted):
            assert after.epoch == event.epoch > (before.epoch if before else 0)
        if before is not None and before.state.is_final:
            assert isinstance(event, e.RunRetried) or after.state is before.state
            assert after.archived is isinstance(event, e.RunArchived)

    def check_task(self, run, before, after, event: Event) -> None:
        if isinstance(event, e.PerformanceWarned):
            return
        if type(event) in STATE_AFTER:
            if not isinstance(event, e.TaskAdopted) and run is not None:
                assert not run.state.is_final
                assert event.epoch is None or event.epoch >= run.epoch
            if before is not None and before.state in FINAL_TASK_STATES:
                assert type(event) in BEGINS
                assert event.epoch > before.epoch
        else:
            assert before.state not in FINAL_TASK_STATES
            assert after.state == OPEN_TASK_AT_END[self.live.run.state]

    @rule(kind=st.sampled_from(RUN_KINDS), epoch=st.none() | st.integers(0, 6))
    def any_run_event(self, kind: type, epoch: int | None) -> None:
        self.say(run_event(kind, len(self.stream), epoch))

    @rule(data=st.data())
    def legal_run_event(self, data: st.DataObject) -> None:
        run = self.live.run
        kind = data.draw(st.sampled_from(list(MOVES[run.state if run else None]) or RUN_KINDS))
        self.say(run_event(kind, len(self.stream), (run.epoch if run else 0) + (kind is e.RunStarted)))

    @rule(
        kind=st.sampled_from(TASK_KINDS),
        epoch=st.none() | st.integers(0, 6),
        key=st.sampled_from(["a", "b", "c"]),
    )
    def any_task_event(self, kind: type, epoch: int | None, key: str) -> None:
        self.say(task_event(kind, len(self.stream), epoch, key))

    @rule(kind=st.sampled_from(TASK_KINDS), key=st.sampled_from(["a", "b", "c"]))
    def task_event_of_the_holder(self, kind: type, key: str) -> None:
        self.say(task_event(kind, len(self.stream), self.epoch, key))

    @rule(
        kind=st.sampled_from([*FINAL_TASK_EVENTS[:-1], e.TaskStarted]), key=st.sampled_from(["a", "b", "c"])
    )
    def a_zombies_event_changes_nothing(self, kind: type, key: str) -> None:
        if self.epoch > 1:
            before = dict(self.live.tasks)
            self.say(task_event(kind, len(self.stream), self.epoch - 1, key))
            assert self.live.tasks == before

    @rule(key=st.none() | st.sampled_from(["a", "b"]))
    def warning(self, key: str | None) -> None:
        self.say(warned(len(self.stream), key))

    @invariant()
    def replay_is_live(self) -> None:
        again = fold((seq, codec.decode(codec.encode(event))) for seq, event in self.stream)
        assert (again.run, again.tasks) == (self.live.run, self.live.tasks)

    @rule(data=st.data())
    def continuing_from_what_was_kept_is_the_same(self, data: st.DataObject) -> None:
        cut = data.draw(st.integers(0, len(self.stream)))
        kept = fold(self.stream[:cut])
        again = History(kept.run, kept.tasks.values(), kept.seq)
        for seq, event in self.stream[cut:]:
            again.apply(event, seq)
        assert (again.run, again.tasks) == (self.live.run, self.live.tasks)

    @invariant()
    def nothing_runs_in_a_final_run(self) -> None:
        if self.live.run is not None and self.live.run.state in FINAL_RUN_STATES:
            assert all(task.state in FINAL_TASK_STATES for task in self.live.tasks.values())

    @invariant()
    def states_are_known(self) -> None:
        assert self.live.run is None or isinstance(self.live.run.state, R)


AnyEventInAnyState.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyEventInAnyState = AnyEventInAnyState.TestCase
