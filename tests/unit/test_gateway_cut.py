"""A run cut from how it ended is what its events fold to, at each of them; and only a run for which that holds is cut."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_gateway.cut import Rows, cut, is_plain
from perfect_gateway.folded import Seen
from perfect_gateway.past import Past
from perfect_schemas import events as e
from perfect_schemas.codec import encode
from perfect_schemas.drawn import RunMomentView, TaskColumnsView
from perfect_schemas.envelope import ErrorInfo, Event
from perfect_schemas.folds.history import fold
from perfect_schemas.views import EventView

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "0198c0de-0000-7000-8000-000000000001"
FLOW = "0198c0de-0000-7000-8000-000000000002"


class Story:
    """Events of a run, with the sequences 3, 6, 9, … for others stand between them."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Event]] = []

    def say(self, kind: type, task: int | None = None, **fields) -> None:
        n = len(self.events) + 1
        said = {"id": f"e{n}", "run_id": RUN, "at": START + timedelta(seconds=n), "source": "worker:w"}
        if task is not None:
            said |= {"task_run_id": f"id of {task}", "task_key": f"a-{task}"}
            said |= {} if kind is e.PerformanceWarned else {"task_id": FLOW, "name": "a"}
        self.events.append((3 * n, kind(**said, **fields)))


@st.composite
def stories(draw) -> list[tuple[int, Event]]:
    """A run whose tasks begin once and end once, or not, in any order, and some of which are warned of."""
    story = Story()
    story.say(e.RunScheduled, flow_id=FLOW, flow_name="F", configuration="debug")
    story.say(e.RunQueued)
    story.say(e.RunStarted, epoch=1, client_id="w")
    running: list[int] = []
    count = draw(st.integers(0, 6))
    begun = 0
    while begun < count or running:
        if begun < count and (not running or draw(st.booleans())):
            kind = draw(st.sampled_from((e.TaskStarted, e.TaskStarted, e.TaskCached, e.TaskSkipped)))
            extra = {e.TaskCached: {"cache_key": "k"}, e.TaskSkipped: {"reason": "no"}}.get(kind, {})
            name = {"run_name": draw(st.sampled_from((None, "x")))} if kind is e.TaskStarted else {}
            story.say(kind, begun, epoch=1, **extra, **name)
            running += [begun] if kind is e.TaskStarted else []
            begun += 1
            continue
        task = running.pop(draw(st.integers(0, len(running) - 1)))
        ends = draw(st.sampled_from(("completed", "failed", "open")))
        if ends == "completed":
            story.say(e.TaskCompleted, task, epoch=1, duration_ms=5)
        elif ends == "failed":
            story.say(e.TaskFailed, task, epoch=1, duration_ms=5, error=ErrorInfo(kind="m:E", message="no"))
        if ends == "completed" and draw(st.booleans()):
            story.say(
                e.PerformanceWarned,
                task,
                rule="z_score",
                duration_ms=5,
                avg_duration_ms=1.0,
                severity="warning",
                message="slow",
            )
    final = draw(st.sampled_from((e.RunCompleted, e.RunFailed)))
    extra = {"error": ErrorInfo(kind="m:E", message="no")} if final is e.RunFailed else {}
    story.say(final, epoch=1, duration_ms=9, **extra)
    return story.events


def rows_of(events: list[tuple[int, Event]], page: int = 2) -> Rows:
    """As the read model has them, in pages of `page`."""
    lives = list(fold(events).tasks.values())
    first: dict[str, int] = {}
    for seq, event in events:
        first.setdefault(event.task_key or "", seq)

    def micros(moment: datetime | None) -> int | None:
        return None if moment is None else round(moment.timestamp() * 1e6)

    pages = []
    for begin in range(0, len(lives), page):
        some = lives[begin : begin + page]
        pages.append(
            TaskColumnsView(
                tasks=[(FLOW, "a")],
                id=[one.id for one in some],
                key=[one.key for one in some],
                of=[0] * len(some),
                state=[one.state.value for one in some],
                start=[micros(one.start_time) for one in some],
                end=[micros(one.end_time) for one in some],
                took=[one.duration_ms for one in some],
                attempt=[one.attempt for one in some],
                first_seq=[first[one.key] for one in some],
                last_seq=[one.last_seq for one in some],
                error={n: (one.error.kind, one.error.message) for n, one in enumerate(some) if one.error},
                label={n: one.run_name for n, one in enumerate(some) if one.run_name},
            )
        )
    return Rows(RUN, pages)


def moment_of(events: list[tuple[int, Event]], n: int) -> RunMomentView:
    history = fold(events)
    upto = events[: n + 1]
    return RunMomentView(
        n=n,
        seq=events[n][0],
        event=msgspec.Raw(encode(events[n][1])),
        prior=None,
        following=None,
        state=history.run.state.value,
        kinds=dict(Counter(event.type for _, event in events)),
        tasks=len(history.tasks),
        beside=[
            EventView(seq=seq, event=msgspec.Raw(encode(event)))
            for seq, event in upto
            if not event.type.startswith("task.")
        ],
    )


def shown(history: Seen) -> list:
    tasks = [
        (
            one.id, one.key, one.task_id, one.name, one.state, one.last_seq, one.start_time, one.end_time,
            one.duration_ms, one.attempt, one.run_name, one.performance_warning,
            (one.error.kind, one.error.message) if one.error else None,
        )
        for one in history.tasks.values()
    ]  # fmt: skip
    return [history.run, history.seq, history.saved, tasks]


@given(stories())
def test_a_cut_is_the_fold_at_every_event(events):
    past, rows = Past(RUN, events, events[-1][0]), rows_of(events)
    for n, (seq, _) in enumerate(events):
        moment = moment_of(events, n)
        assert is_plain(moment)
        assert shown(cut(moment, rows)) == shown(past.until(seq))


@pytest.mark.parametrize(
    "change",
    [
        lambda story: story.say(e.TaskStarted, 0, epoch=1),  # twice
        lambda story: story.say(e.TaskStarted, 0, epoch=2),
        lambda story: story.say(e.RunStarted, epoch=2, client_id="w"),
        lambda story: story.say(
            e.TaskRetrying, 0, epoch=1, next_at=START, error=ErrorInfo(kind="m:E", message="")
        ),
        lambda story: story.say(e.RunLost, epoch=1, client_id="w", reason="gone"),
    ],
)
def test_what_is_more_than_that_is_folded(change):
    story = Story()
    story.say(e.RunScheduled, flow_id=FLOW, flow_name="F", configuration="debug")
    story.say(e.RunStarted, epoch=1, client_id="w")
    story.say(e.TaskStarted, 0, epoch=1)
    change(story)
    story.say(e.TaskCompleted, 0, epoch=1, duration_ms=1)
    story.say(e.RunCompleted, epoch=1, duration_ms=1)
    assert not is_plain(moment_of(story.events, 1))


def test_a_run_that_has_not_ended_is_folded():
    story = Story()
    story.say(e.RunScheduled, flow_id=FLOW, flow_name="F", configuration="debug")
    story.say(e.RunStarted, epoch=1, client_id="w")
    assert not is_plain(moment_of(story.events, 1))
