from hypothesis import given
from hypothesis import strategies as st

from perfect_projector.tracker import Tracker, plan_of
from perfect_schemas.progress import MAX_UNFINISHED, PlannedTask, progress

tasks = st.sampled_from(["a", "b", "c", "d"])
plans = st.dictionaries(tasks, st.tuples(st.floats(0.1, 9), st.floats(0, 4)), max_size=3)
steps = st.lists(st.tuples(st.booleans(), tasks), max_size=40)


def planned(plan) -> list[PlannedTask]:
    return [PlannedTask(name, weight, count) for name, (weight, count) in plan.items()]


@given(plans, steps, st.integers(0, 40))
def test_it_is_the_shared_formula_step_by_step(plan, steps, known_at) -> None:
    tracker = Tracker()
    seen, ended = {}, {}
    before = 0.0
    for n, (ends, name) in enumerate(steps):
        if n == known_at:
            tracker.expect(planned(plan))
        if not ends:
            seen[name] = seen.get(name, 0) + 1
            tracker.began(name)
        elif ended.get(name, 0) < seen.get(name, 0):
            ended[name] = ended.get(name, 0) + 1
            tracker.ended(name)
        wanted = progress(planned(plan) if n >= known_at else [], seen, ended)
        assert abs(tracker.fraction - wanted) < 1e-9
        assert before <= tracker.high <= MAX_UNFINISHED
        before = tracker.high
    assert tracker.finished == sum(ended.values())
    assert tracker.total >= round(sum(seen.values())) - 1


def test_it_goes_back_only_with_a_new_epoch() -> None:
    tracker = Tracker()
    tracker.expect([PlannedTask("a"), PlannedTask("b")])
    tracker.began("a")
    tracker.ended("a")
    assert tracker.high == 0.5
    for _ in range(8):
        tracker.began("b")
    assert tracker.high == 0.5
    tracker.new_epoch()
    assert tracker.high == 1 / 9


def test_what_was_finished_can_run_again() -> None:
    tracker = Tracker()
    tracker.expect([PlannedTask("a", 3.0)])
    tracker.began("a")
    tracker.ended("a")
    tracker.reopened("a")
    assert (tracker.fraction, tracker.finished) == (0.0, 0)


def test_totals() -> None:
    tracker = Tracker()
    tracker.expect([PlannedTask("a", 1.0, 2.5), PlannedTask("b", 1.0, 0.0)])
    assert tracker.total == 2
    for name in "aaab":
        tracker.began(name)
    tracker.began("unplanned")
    assert tracker.total == 5


def test_the_plan_survives_its_text() -> None:
    plan = [PlannedTask("a", 1.5, 2.25), PlannedTask("b")]
    tracker = Tracker()
    tracker.expect(plan)
    assert plan_of(tracker.plan_text or "") == plan
