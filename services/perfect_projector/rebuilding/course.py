"""All runs in the order of the log: what was expected of each follows from those before it.

Of a plain run four moments count: its first event (what it is expected to do), its start and the half of its progress
(when it is expected to be done), and its end (what the next runs of its flow are measured by). All others are folded
event by event, in between, by the code that folds live.
"""

import heapq
from operator import itemgetter
from typing import Any

import msgspec

from perfect_projector import forecast as forecasting
from perfect_projector import run_row, task_row
from perfect_projector.batch import Batch, Message, Row
from perfect_projector.expectation import Counts
from perfect_projector.forecast import HALF, Forecast
from perfect_projector.project import Draft, Projection, measured_of
from perfect_projector.rebuilding.expected import Guesses, PlanKey, Plans
from perfect_projector.rebuilding.plain import Shape
from perfect_projector.rebuilding.share import Course, Folded, Of
from perfect_projector.rebuilding.sums import Sums
from perfect_projector.tracker import Tracker
from perfect_projector.values import text
from perfect_schemas import codec, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.events import RunScheduled
from perfect_schemas.forecast import step_of
from perfect_schemas.progress import PlannedTask

MOST_PATHS = 50_000
_START, _HALFWAY, _END = range(3)
_decode_courses = msgspec.msgpack.Decoder(list[Course]).decode
_decode_raw = msgspec.json.Decoder(list[tuple[int, msgspec.Raw]]).decode


class Path(msgspec.Struct, frozen=True):
    """What a plan makes of a shape. begun: how many tasks. reached: at which end of a task each tenth was reached.
    high, total: as of a `Tracker`.
    """

    begun: int
    reached: list[int]
    high: float
    total: int


def path_of(plan: list[PlannedTask] | None, shape: Shape) -> Path:
    tracker = Tracker()
    if plan is not None:
        tracker.expect(plan)
    reached: list[int] = []
    for step in shape.steps:
        task_id = shape.task_ids[step // 2]
        if step % 2:
            tracker.ended(task_id)
            passed = step_of(tracker.high) - len(reached)
            reached += [tracker.finished - 1] * passed
        else:
            tracker.began(task_id)
    begun = sum(1 for step in shape.steps if not step % 2)
    return Path(begun, reached, tracker.high, tracker.total)


class Going(msgspec.Struct, gc=False):
    """A plain run between its first event and its end."""

    course: Course
    of: Of
    shape: Shape
    path: Path
    forecast: Forecast


class Runs(Projection):
    """failed: events that could not be folded. batch: rows to be written. measured: of each plain run (id, progress,
    tasks_total, forecast).

    What comes of the log is put in by `take` and `define`; `advance` goes on to a sequence before which nothing can come
    any more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.guesses = Guesses()
        self.completions = self.sums = Sums(self.guesses)
        self.expectations = self.plans = Plans()
        self.curves = self.sums.curves
        self.failed = 0
        self.batch = Batch()
        self.measured: list[Row] = []
        self._items: list[tuple[float, Any, Any]] = []
        self._moments: list[tuple[int, int, Going]] = []
        self._left: dict[str, int] = {}  # runs that are not plain: how many events are to come
        self._draft = Draft(self.batch)
        self._shapes: dict[Shape, Shape] = {}
        self._paths: dict[tuple[PlanKey | None, Shape], Path] = {}
        self._counts: dict[Shape, Counts] = {}

    def define(self, message: Message, before_seq: int) -> None:
        """An event on DEFS, which stands in the log behind `before_seq` of EVENTS."""
        self._items.append((before_seq + 0.5, None, message))

    def take(self, folded: Folded) -> None:
        items = self._items
        shapes = [self._shapes.setdefault(shape, shape) for shape in folded.shapes]
        ofs = folded.ofs
        items += [
            (course.first_seq, (ofs[course.of], shapes[course.shape]), course)
            for course in _decode_courses(folded.courses)
        ]
        for run_id, said in folded.others:
            events = _decode_raw(said)
            self._left[run_id] = len(events)
            items += [(seq, run_id, raw) for seq, raw in events]
        items += [(seq, run_id, event) for run_id, seq, event in folded.artifacts]
        self.sums.join(folded.tallies)

    def advance(self, until: float) -> None:
        items, moments = self._items, self._moments
        items.sort(key=itemgetter(0))
        done = 0
        for seq, what, said in items:
            if seq >= until:
                break
            done += 1
            while moments and moments[0][0] < seq:
                self._moment(heapq.heappop(moments))
            if type(said) is Course:
                self._begin(said, *what)
            elif what is None:
                self._define(said)
            else:
                self._event_of(what, int(seq), said)
        del items[:done]
        while moments and moments[0][0] < until:
            self._moment(heapq.heappop(moments))
        if not moments and len(self._shapes) > MOST_PATHS:
            self._shapes.clear()

    def written(self) -> None:
        """`batch` is in the file."""
        self.batch = Batch()
        self._draft = Draft(self.batch)

    # -- plain runs

    def _begin(self, course: Course, of: Of, shape: Shape) -> None:
        flow = self.definitions.flows.get(of.flow_id)
        key = self.plans.key(flow) if flow is not None else None, shape
        path = self._paths.get(key)
        if path is None:
            if len(self._paths) >= MOST_PATHS:
                self._paths.clear()
            plan = self.plans.plan(flow) if flow is not None else None
            path = self._paths[key] = path_of(plan, shape)
        forecast = Forecast(marks=[course.elapsed_ms[place] for place in path.reached])
        going = Going(course, of, shape, path, forecast)
        heapq.heappush(self._moments, (course.started_seq, _START, going))
        if len(path.reached) >= HALF:
            heapq.heappush(self._moments, (course.ended_seqs[path.reached[HALF - 1]], _HALFWAY, going))
        heapq.heappush(self._moments, (course.end_seq, _END, going))

    def _moment(self, moment: tuple[int, int, Going]) -> None:
        seq, which, going = moment
        course, of, forecast = going.course, going.of, going.forecast
        if which == _START:
            self.curves.started(of.flow_id, forecast)
            return
        if which == _HALFWAY:
            self.guesses.halfway(of.flow_id, forecast)
            return
        path = going.path
        if course.completed:
            self.plans.completed(of.flow_id, self._counts_of(going.shape))
            self.sums.off(of, forecasting.errors(forecast, course.duration_ms), seq)
            self.curves.completed(of.flow_id, forecast, course.duration_ms)
            progress, total = 100.0, path.begun
        else:
            progress, total = path.high * 100, max(path.total, path.begun)
        said = text(forecast) if forecast.start is not None or forecast.marks else None
        self.measured.append((course.run_id, progress, total, said))

    def _counts_of(self, shape: Shape) -> Counts:
        counts = self._counts.get(shape)
        if counts is None:
            if len(self._counts) >= MOST_PATHS:
                self._counts.clear()
            counts = self._counts[shape] = {
                task_id: shape.steps.count(2 * place) for place, task_id in enumerate(shape.task_ids)
            }
        return counts

    # -- all others

    def _define(self, message: Message) -> None:
        event = codec.decode(message.data)
        if isinstance(event, UnknownEvent):
            return
        try:
            self.definitions.fold(self.batch, message, event)
        except Exception:  # as live: one odd event must not hold up all that come after it
            self.failed += 1

    def _event_of(self, run_id: str, seq: int, raw: msgspec.Raw | bytes) -> None:
        data = bytes(raw)
        if data.startswith(b'"'):  # its text as one JSON string: see `Duck.repair`
            data = msgspec.json.decode(data, type=str).encode(errors="surrogatepass")
        event = codec.decode(data)
        if not isinstance(event, UnknownEvent):
            entry = self.held.entries.get(run_id)
            if entry is not None and entry.is_final and type(event) is RunScheduled:
                del self.held.entries[run_id]  # it begins again: its first life had left the bus
            try:
                message = Message("EVENTS", seq, subjects.run(run_id), data, 0)
                self._event(self._draft, message, event, run_id)
            except Exception:
                self.failed += 1
        left = self._left.get(run_id, 0) - 1  # none: an artifact of a plain run
        if left > 0:
            self._left[run_id] = left
        elif self._left.pop(run_id, None):
            self._finish(run_id)

    def _finish(self, run_id: str) -> None:
        """All of its events are folded."""
        entry = self.held.entries.pop(run_id, None)
        self._draft = Draft(self.batch)
        if entry is None:
            return
        history = entry.history
        if history.run is not None:
            self.batch.new_runs.append(run_row.row_of(run_id, history.run, measured_of(entry, history.run)))
        for key, task in history.tasks.items():
            self.batch.new_task_runs.append(
                task_row.row_of(run_id, task, key in entry.counted, entry.first_seqs[key])
            )
